/** When a grant is renewed, and when not: by a clock that the test moves. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Credential, type Token } from "../src/credential.ts";
import { Renewal } from "../src/renewal.ts";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

function renewal(token: Token): { renewal: Renewal; sent: string[] } {
  const sent: string[] = [];
  return { renewal: new Renewal(new Credential(token), (each) => sent.push(each)), sent };
}

const inSeconds = (seconds: number): number => Date.now() / 1000 + seconds;
const pass = (seconds: number): Promise<unknown> => vi.advanceTimersByTimeAsync(seconds * 1000);

test("a fresh token goes out after most of a grant's life, once for each grant", async () => {
  const { renewal: each, sent } = renewal(() => `at ${Date.now()}`);
  const began = Date.now();
  each.plan(inSeconds(100));
  await pass(79);
  expect(sent).toEqual([]);
  await pass(2);
  expect(sent).toEqual([`at ${began + 80_000}`]);
  await pass(1000);
  expect(sent.length).toBe(1);
});

test("a newer grant's plan takes the place of the older one's", async () => {
  const { renewal: each, sent } = renewal(() => "t");
  each.plan(inSeconds(10));
  each.plan(inSeconds(1000));
  await pass(500);
  expect(sent).toEqual([]);
  each.plan(null);
  await pass(2000);
  expect(sent).toEqual([]);
});

test("a function that fails is asked again, each time for a share of what is left and at most once a second", async () => {
  let tries = 0;
  const { renewal: each, sent } = renewal(() => {
    tries += 1;
    if (tries < 4) throw new Error("no network");
    return "t";
  });
  each.plan(inSeconds(10));
  await pass(8);
  expect(tries).toBe(1);
  await pass(1.7);
  expect(tries).toBe(2);
  await pass(2.1);
  expect([tries, sent]).toEqual([4, ["t"]]);
});

test("a token that comes when the connection has ended is not sent", async () => {
  let give = (_token: string): void => {};
  const { renewal: each, sent } = renewal(
    () =>
      new Promise((resolve) => {
        give = resolve;
      }),
  );
  each.plan(inSeconds(10));
  await pass(8);
  each.stop();
  give("late");
  await pass(100);
  expect(sent).toEqual([]);
});

test("a grant that is further off than a timer can wait, and a fixed token, are left alone", async () => {
  const fixed = renewal("t");
  fixed.renewal.plan(inSeconds(1));
  const far = renewal(() => "t");
  far.renewal.plan(inSeconds(10 * 365 * 86400));
  await pass(86400);
  expect([fixed.sent, far.sent]).toEqual([[], []]);
});
