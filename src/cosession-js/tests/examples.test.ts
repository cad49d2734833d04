/** The TypeScript examples of this package's README and of the documentation compile against the sources. */

import { execFileSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { expect, onTestFinished, test } from "vitest";

const HOME = join(import.meta.dirname, "..");
const PAGES = join(HOME, "../docs/pages");
const BLOCK = /```(tsx?)\b[^\n]*\n(.*?)```/gs;
const KNOWN = /^(@cosession\/client|react|node:)/;

interface Example {
  readonly from: string;
  readonly kind: string;
  readonly code: string;
}

function examples(): Example[] {
  const pages = globSync("**/*.md", { cwd: PAGES }).filter((page) => !page.startsWith("reference"));
  const files = [join(HOME, "README.md"), ...pages.map((page) => join(PAGES, page))];
  return files.flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(BLOCK)].flatMap(([, kind = "", code = ""]) => {
      const imported = [...code.matchAll(/from "([^"]+)"/g)].map(([, name = ""]) => name);
      // Examples of editors import packages that are not installed here; their own tests run them.
      return imported.every((name) => KNOWN.test(name)) ? [{ from: relative(HOME, file), kind, code }] : [];
    }),
  );
}

/** Returns what the compiler says of examples, as one program; empty when all is well. */
function compile(all: readonly Example[]): string {
  const folder = mkdtempSync(join(HOME, ".examples-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const files = all.map(({ code, from, kind }, index) => {
    const name = `${index}_${from.replaceAll(/\W+/g, "_")}.${kind}`;
    writeFileSync(join(folder, name), `${code}\nexport {};\n`);
    return name;
  });
  const paths = Object.fromEntries(
    ["index", "react", "http"].map((name) => [
      name === "index" ? "@cosession/client" : `@cosession/client/${name}`,
      [`../src/${name}.ts`],
    ]),
  );
  const config = { extends: "../tsconfig.json", compilerOptions: { paths }, files, include: [] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  try {
    execFileSync(process.execPath, [join(HOME, "node_modules/typescript/bin/tsc"), "-p", folder]);
    return "";
  } catch (error) {
    return String((error as { stdout?: unknown }).stdout);
  }
}

test("the examples compile", () => {
  const all = examples().filter(({ code }) => !code.includes("declare module"));
  expect(all.length).toBeGreaterThan(3);
  expect(compile(all)).toBe("");
});

test("the types that an application registers once are those of connect and of the hooks", () => {
  const registered = examples().find(({ code }) => code.includes("declare module")) as Example;
  const use = `
    import { connect, type Json } from "@cosession/client";
    import { useMyPresence, useSharedState } from "@cosession/client/react";
    const session = connect("/", "trip");
    export const hotel: string | undefined = session.state.get("hotel");
    export const mood: string | undefined = session.messages.all[0]?.metadata.mood;
    export const typing: boolean | undefined = useMyPresence()[0].typing;
    useSharedState("hotel")[1]("Alma");
    // @ts-expect-error a text, not a number
    useSharedState("hotel")[1](5 as Json);
  `;
  expect(compile([{ ...registered, code: `${registered.code}\n${use}` }])).toBe("");
});
