// Writes the pages of the JavaScript SDK's reference from its TypeScript sources, by TypeDoc. They are committed, so
// that the documentation is built without Node. `--check` only says whether they are what the sources make.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Application } from "typedoc";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const PAGES = {
  index: { page: "javascript", title: "JavaScript", lead: "What `@cosession/client` exports." },
  react: { page: "react", title: "React", lead: "What `@cosession/client/react` exports: the session of a page, and hooks." },
  http: { page: "javascript-http", title: "JavaScript over HTTP", lead: "What `@cosession/client/http` exports." },
};
const sources = here("../cosession-js/");
const modules = Object.keys(PAGES).filter((name) => existsSync(`${sources}src/${name}.ts`));
const out = mkdtempSync(join(tmpdir(), "reference-"));
const app = await Application.bootstrapWithPlugins({
  entryPoints: modules.map((name) => `${sources}src/${name}.ts`),
  tsconfig: `${sources}tsconfig.json`,
  plugin: ["typedoc-plugin-markdown"],
  readme: "none",
  skipErrorChecking: true, // the step `types` checks them, by the version of TypeScript that the client is built with
  disableSources: true,
  excludeExternals: true,
  excludePrivate: true,
  excludeProtected: true,
  excludeInternal: true,
  hidePageHeader: true,
  hideBreadcrumbs: true,
  hidePageTitle: true,
  useCodeBlocks: true,
  useHTMLAnchors: true, // two headings of one name get other ids from another generator of pages
  expandObjects: true,
  parametersFormat: "table",
  interfacePropertiesFormat: "table",
  classPropertiesFormat: "table",
  typeDeclarationFormat: "table",
  outputFileStrategy: "modules",
  logLevel: "Error",
});
const project = await app.convert();
if (project === undefined) process.exit(1);
await app.outputs.writeOutput({ name: "markdown", path: out }, project);
const linked = (text) =>
  text.replaceAll(/\]\((?:\.\.\/)?(\w+)(?:\/README)?\.md(#[^)]*)?\)/g, (_, name, anchor = "") => `](${PAGES[name].page}.md${anchor})`);
const stale = [];
for (const name of modules) {
  const { page, title, lead } = PAGES[name];
  const [made] = [`${name}.md`, `${name}/README.md`].map((path) => join(out, path)).filter(existsSync).map((path) => readFileSync(path, "utf8"));
  const path = here(`pages/reference/${page}.md`);
  const text = `# ${title}\n\n${lead}\n\n${linked(made).trim()}\n`;
  if (existsSync(path) && readFileSync(path, "utf8") === text) continue;
  stale.push(path);
  if (!process.argv.includes("--check")) writeFileSync(path, text);
}
rmSync(out, { recursive: true });
if (stale.length > 0 && process.argv.includes("--check")) {
  console.error(`Not what the sources make: ${stale.join(", ")}. Run \`npm run reference\` in src/docs.`);
  process.exit(1);
}
