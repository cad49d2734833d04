/** The bundle that the Python server serves is the one that these sources make. */

import { expect, test } from "vitest";
import { BUNDLE, built, committed } from "../scripts/bundle.js";

test("the committed bundle was built from these sources (npm run build)", async () => {
  for (const [path, text] of Object.entries(await built())) expect(committed(path) === text, path).toBe(true);
});

test("the bundle is one module with the names that a page imports", async () => {
  const bundle = await import(/* @vite-ignore */ BUNDLE);
  expect(Object.keys(bundle).sort()).toEqual([
    "ClaimHeld",
    "ClaimLost",
    "Conflict",
    "CosessionError",
    "Disconnected",
    "Gone",
    "InvalidValue",
    "NotAllowed",
    "NotAuthenticated",
    "NotFound",
    "Position",
    "TimedOut",
    "Unavailable",
    "WriteRefused",
    "Y",
    "colorOf",
    "connect",
    "diff",
  ]);
});
