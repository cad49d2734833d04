/** The bundle that the Python server serves is the one that these sources make. */

import { expect, test } from "vitest";
import { BUNDLE, bundledHash, sourcesHash } from "../scripts/sources.js";

test("the committed bundle was built from these sources (npm run build)", () => {
  expect(bundledHash()).toBe(sourcesHash());
});

test("the bundle is one module with the names that a page imports", async () => {
  const bundle = await import(/* @vite-ignore */ BUNDLE);
  expect(Object.keys(bundle).sort()).toEqual([
    "Refused",
    "Y",
    "colorOf",
    "connect",
    "encodeSegment",
    "requestKey",
  ]);
});
