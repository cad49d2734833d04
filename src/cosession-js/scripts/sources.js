// Which sources the bundle is made of, and their hash: how a test knows that the committed bundle isn't older than them.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const HOME = join(import.meta.dirname, "..");
export const BUNDLE = join(HOME, "../cosession/server/static/cosession.js");
export const LICENSES = join(HOME, "../cosession/server/static/cosession.LICENSES.txt");

/** The SHA-256 of everything that decides what is in the bundle: sources, locked dependencies, and how it is built. */
export function sourcesHash() {
  const sources = readdirSync(join(HOME, "src")).filter(
    (name) => name.endsWith(".ts") && name !== "react.ts",
  );
  const files = [...sources.map((name) => `src/${name}`), "package-lock.json", "scripts/build.js"].sort();
  const hash = createHash("sha256");
  for (const file of files)
    hash
      .update(file)
      .update("\0")
      .update(readFileSync(join(HOME, file)))
      .update("\0");
  return hash.digest("hex");
}

/** The hash that the committed bundle says it was built from, or null. */
export function bundledHash() {
  const [banner = ""] = readFileSync(BUNDLE, "utf8").split("\n", 1);
  return /sources sha256:([0-9a-f]{64})/.exec(banner)?.[1] ?? null;
}
