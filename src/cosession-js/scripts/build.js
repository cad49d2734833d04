// Builds the browser bundle that the Python server serves at /client/cosession.js. `--check` only says whether the
// committed one is what the sources make.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { BUNDLE, built, committed } from "./bundle.js";

const files = await built();
if (process.argv.includes("--check")) {
  const stale = Object.keys(files).filter((path) => files[path] !== committed(path));
  if (stale.length > 0) {
    console.error(
      `Not what the sources make: ${stale.join(", ")}. Run \`npm run build\` and commit the result.`,
    );
    process.exit(1);
  }
} else {
  mkdirSync(dirname(BUNDLE), { recursive: true });
  for (const [path, text] of Object.entries(files)) writeFileSync(path, text);
  console.log(`${BUNDLE}: ${(Buffer.byteLength(files[BUNDLE]) / 1024).toFixed(1)} KiB`);
}
