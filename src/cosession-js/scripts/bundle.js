// What the sources make: the bundle and its licenses, in memory, so that they can be written or compared.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const HOME = join(import.meta.dirname, "..");
export const BUNDLE = join(HOME, "../cosession/server/static/cosession.js");
export const LICENSES = join(HOME, "../cosession/server/static/cosession.LICENSES.txt");

/** The text of each file, by its path. */
export async function built() {
  const { version } = JSON.parse(readFileSync(join(HOME, "package.json"), "utf8"));
  const { metafile, outputFiles } = await build({
    absWorkingDir: HOME,
    entryPoints: ["src/index.ts"],
    outfile: BUNDLE,
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    legalComments: "none",
    banner: { js: `/* cosession ${version}; licenses in cosession.LICENSES.txt */` },
    metafile: true,
    write: false,
  });
  return { [BUNDLE]: outputFiles[0].text, [LICENSES]: licenses(Object.keys(metafile.inputs)) };
}

/** What a file holds now, or null when there is none. */
export function committed(path) {
  return existsSync(path) ? readFileSync(path, "utf8") : null;
}

/** The licenses of the packages in the bundle, which ask to be named wherever they are copied. */
function licenses(inputs) {
  const packages = new Set(
    inputs.flatMap((input) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input)?.[1] ?? []),
  );
  return [...packages]
    .sort()
    .map((name) => `${name}\n\n${readFileSync(join(HOME, "node_modules", name, "LICENSE"), "utf8").trim()}\n`)
    .join(`\n${"-".repeat(80)}\n\n`);
}
