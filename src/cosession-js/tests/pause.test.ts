/** The pause between two attempts to connect, by a clock that the test moves. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Pause } from "../src/pause.ts";

let pause: Pause;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.spyOn(Math, "random").mockReturnValue(1);
  pause = new Pause();
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const times = (count: number, end: () => number): number[] => Array.from({ length: count }, end);

test("it doubles with every failure, up to ten seconds", () => {
  expect(times(8, () => pause.ended())).toEqual([200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
});

test("it grows also where the server lets this page in and ends the connection soon", () => {
  const ends = times(5, () => {
    pause.began();
    vi.advanceTimersByTime(2_000);
    return pause.ended();
  });
  expect(ends).toEqual([200, 400, 800, 1_600, 3_200]);
});

test("a connection that lasted starts it over", () => {
  times(5, () => pause.ended());
  pause.began();
  vi.advanceTimersByTime(10_000);
  expect(pause.ended()).toBe(200);
});

test("what is too fast waits longest", () => {
  expect(pause.ended(true)).toBe(10_000);
});
