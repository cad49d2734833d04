/** The keys of requests: every client has to make the same ones. */

import { expect, test } from "vitest";
import { encodeSegment, requestKey } from "../src/requests.ts";

// The right-hand sides are what the Python SDK's join_key makes of a segment.
test.each([
  ["run-1", "run-1"],
  ["a/b c", "a%2Fb%20c"],
  ["!'()*", "!'()*"],
  ["-_.~", "-_.~"],
  ["100%", "100%25"],
  ["ana@example.com", "ana%40example.com"],
  ['?&=+#:;,$[]{}|\\^`"<>', "%3F%26%3D%2B%23%3A%3B%2C%24%5B%5D%7B%7D%7C%5C%5E%60%22%3C%3E"],
  ["é日😀", "%C3%A9%E6%97%A5%F0%9F%98%80"],
  ["\n\0", "%0A%00"],
])("%j is encoded as %s", (segment, encoded) => {
  expect(encodeSegment(segment)).toBe(encoded);
  expect(decodeURIComponent(encoded)).toBe(segment);
});

test("a key names the kind, the subject, and at its end who asks", () => {
  expect(requestKey("steer", ["run/1", "s1"], "ana b")).toBe("steer/run%2F1/s1/ana%20b");
});
