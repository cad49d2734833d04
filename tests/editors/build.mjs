// Bundles each page with its editor into the folder that is the first argument.
import fs from "node:fs";
import path from "node:path";
import { build } from "esbuild";

const here = import.meta.dirname;
const out = process.argv[2];
fs.mkdirSync(out, { recursive: true });
for (const file of fs.readdirSync(path.join(here, "pages")).filter((name) => name !== "page.js")) {
  const name = file.replace(/\.jsx?$/, "");
  await build({
    entryPoints: [path.join(here, "pages", file)],
    outfile: path.join(out, `${name}.js`),
    bundle: true,
    minify: true,
    format: "esm",
    jsx: "automatic",
    logLevel: "error",
    conditions: ["style", "production"],
    define: {
      "process.env.NODE_ENV": '"production"',
      "process.env.IS_PREACT": '"false"',
      "import.meta.env": "{}",
      global: "globalThis",
    },
    loader: { ".ttf": "dataurl", ".woff2": "dataurl", ".woff": "dataurl", ".svg": "dataurl" },
  });
  const style = fs.existsSync(path.join(out, `${name}.css`)) ? `<link rel="stylesheet" href="/${name}.css">` : "";
  fs.writeFileSync(
    path.join(out, `${name}.html`),
    `<!doctype html><meta charset="utf-8"><title>${name}</title>${style}<body><script type="module" src="/${name}.js"></script>`,
  );
}
