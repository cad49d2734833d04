/**
 * One WebSocket and its end. The socket is a fake: a line on which nothing arrives, and one that is slow for minutes, can't
 * be had from a real one in a test.
 */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Line } from "../src/line.ts";

class Socket {
  static last: Socket;
  readonly OPEN = 1;
  readyState = 0;
  bufferedAmount = 0;
  binaryType = "";
  closed = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;

  constructor() {
    Socket.last = this;
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  send(frame: Uint8Array): void {
    this.bufferedAmount += frame.length;
  }

  close(): void {
    this.closed += 1;
  }
}

let socket: Socket;
let line: Line;
let ends: (number | undefined)[];
let received: Uint8Array[];

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", Socket);
  ends = [];
  received = [];
  line = new Line("ws://nowhere/", {
    opened: () => {},
    received: (data) => received.push(data),
    ended: (code) => ends.push(code),
  });
  socket = Socket.last;
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("a handshake that isn't answered is given up after ten seconds", () => {
  vi.advanceTimersByTime(9_999);
  expect(ends).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(ends).toEqual([undefined]);
  expect(socket.closed).toBe(1);
});

test("a line on which nothing is heard for half a minute is given up, and one with signs of life isn't", () => {
  socket.open();
  for (let count = 0; count < 10; count += 1) {
    vi.advanceTimersByTime(20_000);
    socket.onmessage?.({ data: new ArrayBuffer(1) });
  }
  expect([ends, received.length]).toEqual([[], 10]);
  vi.advanceTimersByTime(35_000);
  expect(ends).toEqual([undefined]);
});

test("a slow line is not given up while bytes leave, and for as long as they may be on their way", () => {
  socket.open();
  line.send(new Uint8Array(4 * 2 ** 20));
  expect(line.isFull).toBe(true);
  for (let count = 0; count < 40; count += 1) {
    vi.advanceTimersByTime(10_000);
    socket.bufferedAmount -= 100_000;
  }
  socket.bufferedAmount = 0;
  vi.advanceTimersByTime(60_000);
  expect(ends).toEqual([]);
  socket.onmessage?.({ data: new ArrayBuffer(1) });
  vi.advanceTimersByTime(35_000);
  expect(ends).toEqual([undefined]);
});

test("a line of which no byte leaves is given up, however much waits", () => {
  socket.open();
  line.send(new Uint8Array(2 ** 20));
  vi.advanceTimersByTime(200_000);
  expect(ends).toEqual([undefined]);
});

test("an error without a close event is an end, and an end comes once", () => {
  socket.open();
  socket.onerror?.();
  vi.advanceTimersByTime(0);
  socket.onclose?.({ code: 1006, reason: "" });
  expect(ends).toEqual([undefined]);
});

test("a closed line tells nothing more", () => {
  socket.open();
  line.close();
  line.send(new Uint8Array(1));
  socket.onmessage?.({ data: new ArrayBuffer(1) });
  vi.advanceTimersByTime(100_000);
  expect([ends, received, socket.bufferedAmount]).toEqual([[], [], 0]);
});
