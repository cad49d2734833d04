// Builds the browser bundle that the Python server serves at /client/cosession.js. `--check` only says whether the
// committed one is up to date.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { build } from "esbuild";
import { BUNDLE, bundledHash, HOME, LICENSES, sourcesHash } from "./sources.js";

const { version } = JSON.parse(readFileSync(join(HOME, "package.json"), "utf8"));

if (process.argv.includes("--check")) {
  if (bundledHash() !== sourcesHash()) {
    console.error("The bundle is older than its sources. Run `npm run build` and commit the result.");
    process.exit(1);
  }
} else {
  const banner = `/* cosession ${version}, sources sha256:${sourcesHash()}; licenses in cosession.LICENSES.txt */`;
  mkdirSync(dirname(BUNDLE), { recursive: true });
  const { metafile } = await build({
    absWorkingDir: HOME,
    entryPoints: ["src/index.ts"],
    outfile: BUNDLE,
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    legalComments: "none",
    banner: { js: banner },
    metafile: true,
  });
  writeFileSync(LICENSES, licenses(Object.keys(metafile.inputs)));
  const [{ bytes }] = Object.values(metafile.outputs);
  console.log(`${BUNDLE}: ${(bytes / 1024).toFixed(1)} KiB`);
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
