/** The bookkeeping behind "saved", step by step. */

import { beforeEach, expect, test } from "vitest";
import { Fences } from "../src/fences.ts";

let sent: number[];
let told: boolean[];
let fences: Fences;

beforeEach(() => {
  sent = [];
  told = [];
  fences = new Fences(() => told.push(fences.saved));
});

const open = (): void => fences.opened((number) => sent.push(number));
const settled = (): Promise<void> => new Promise((resolve) => queueMicrotask(resolve));

test("nothing written is nothing to save", () => {
  open();
  expect(fences.saved).toBe(true);
  expect(sent).toEqual([]);
});

test("the edits of one task share a fence", async () => {
  open();
  fences.edited();
  fences.edited();
  expect(sent).toEqual([]);
  await settled();
  expect(sent).toEqual([1]);

  fences.received(1);
  expect(told).toEqual([false, true]);
});

test("an echo vouches for what was written before its fence, not after", async () => {
  open();
  fences.edited();
  await settled();
  fences.edited();
  await settled();
  expect(sent).toEqual([1]);

  fences.received(1);
  expect(fences.saved).toBe(false);
  expect(sent).toEqual([1, 2]);
  fences.received(2);
  expect(fences.saved).toBe(true);
  expect(told).toEqual([false, true]);
});

test("a fence of an earlier connection says nothing on the next", async () => {
  open();
  fences.edited();
  await settled();
  fences.closed();
  fences.edited();
  await settled();
  open();
  expect(sent).toEqual([1, 2]);

  fences.received(1);
  expect(fences.saved).toBe(false);
  fences.received(2);
  expect(fences.saved).toBe(true);
});

test("a server that asks for sync again gets a fence after the answer, and the earlier one counts no more", async () => {
  open();
  fences.edited();
  await settled();
  open();
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
  open();
  expect(sent).toEqual([1]);
});
