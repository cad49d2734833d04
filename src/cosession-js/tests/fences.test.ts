/** The bookkeeping behind "saved", step by step. */

import { beforeEach, expect, test } from "vitest";
import { Fences } from "../src/fences.ts";

let sent: number[];
let told: boolean[];
let fences: Fences;

beforeEach(() => {
  sent = [];
  told = [];
  fences = new Fences(
    () => told.push(fences.saved),
    () => queueMicrotask(() => fences.advance()),
  );
});

const open = async (): Promise<void> => {
  fences.opened((number) => sent.push(number));
  await settled();
};
const settled = (): Promise<void> => new Promise((resolve) => queueMicrotask(resolve));

test("nothing written is nothing to save", async () => {
  await open();
  expect(fences.saved).toBe(true);
  expect(sent).toEqual([]);
});

test("the edits of one task share a fence", async () => {
  await open();
  fences.edited();
  fences.edited();
  expect(sent).toEqual([]);
  await settled();
  expect(sent).toEqual([1]);

  fences.received(1);
  expect(told).toEqual([false, true]);
});

test("an echo vouches for what was written before its fence, not after", async () => {
  await open();
  fences.edited();
  await settled();
  fences.edited();
  await settled();
  expect(sent).toEqual([1]);

  fences.received(1);
  expect(fences.saved).toBe(false);
  await settled();
  expect(sent).toEqual([1, 2]);
  fences.received(2);
  expect(fences.saved).toBe(true);
  expect(told).toEqual([false, true]);
});

test("a fence of an earlier connection says nothing on the next", async () => {
  await open();
  fences.edited();
  await settled();
  fences.closed();
  fences.edited();
  await settled();
  await open();
  expect(sent).toEqual([1, 2]);

  fences.received(1);
  expect(fences.saved).toBe(false);
  fences.received(2);
  expect(fences.saved).toBe(true);
});

test("a server that asks for sync again gets a fence after the answer, and the earlier one counts no more", async () => {
  await open();
  fences.edited();
  await settled();
  await open();
  fences.received(1);
  expect(fences.saved).toBe(false);
  fences.received(2);
  expect(fences.saved).toBe(true);
});

test("without a connection nothing is sent, and nothing is saved", async () => {
  fences.edited();
  await settled();
  expect(sent).toEqual([]);
  expect(fences.saved).toBe(false);
  await open();
  expect(sent).toEqual([1]);
});
