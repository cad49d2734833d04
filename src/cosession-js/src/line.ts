/**
 * One WebSocket, from its handshake to its end, which comes once and in time.
 *
 * - A handshake that isn't answered is given up.
 * - A connection on which nothing was received for long is given up: a broken network may send no signal. It isn't
 *   while bytes leave: on a slow line a large frame delays the server's answers.
 * - An error ends it also where no close event follows (Node 22).
 */

import { report } from "./errors.ts";

export interface Heard {
  readonly opened: () => void;
  readonly received: (data: Uint8Array) => void;
  /** Called at the end; without a code when this side, or the network, ended it. */
  readonly ended: (code?: number, reason?: string) => void;
}

/** Longer than a bad line needs. A browser waits minutes, and meanwhile opens no other socket to the server. */
const HANDSHAKE_MS = 10_000;
/** The server sends something at least this often; other clients give up after the same time. */
const SILENCE_MS = 30_000;
const LOOK_MS = 3_000;
/** The assumed rate of a slow line: sent bytes may wait in buffers on the way, and arrive at this rate. */
const SLOWEST_BYTES_PER_MS = 16;
/** The most bytes that are passed to the socket at once. */
const MOST_WAITING_BYTES = 2 ** 20;

export class Line {
  readonly #heard: Heard;
  readonly #socket: WebSocket;
  #handshake: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #heardAt = Date.now();
  #sentBytes = 0;
  #waitingBytes = 0;
  #isOver = false;

  /** @throws the browser's error for an address that it doesn't connect to */
  constructor(url: string, heard: Heard) {
    this.#heard = heard;
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#opened();
    socket.onmessage = ({ data }) => this.#received(data);
    socket.onclose = ({ code, reason }) => this.#end(code, reason);
    socket.onerror = () => setTimeout(() => this.#end());
    this.#handshake = setTimeout(() => this.#end(), HANDSHAKE_MS);
  }

  get isOpen(): boolean {
    return !this.#isOver && this.#socket.readyState === this.#socket.OPEN;
  }

  /** Whether the socket has no room for more data now. */
  get isFull(): boolean {
    return this.#socket.bufferedAmount > MOST_WAITING_BYTES;
  }

  send(frame: Uint8Array<ArrayBuffer>): void {
    if (!this.isOpen) return;
    try {
      this.#socket.send(frame);
    } catch (error) {
      report(error);
      this.#end();
    }
    this.#sentBytes += frame.length;
  }

  /** Closes the connection; data sent before still leaves. */
  close(): void {
    this.#isOver = true;
    clearTimeout(this.#handshake);
    clearInterval(this.#watch);
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.onerror = () => {}; // closing a handshake is an error, which Node throws where nothing listens
    socket.close();
  }

  #opened(): void {
    clearTimeout(this.#handshake);
    this.#heardAt = Date.now();
    this.#watch = setInterval(() => this.#look(), LOOK_MS);
    this.#heard.opened();
  }

  #received(data: unknown): void {
    this.#heardAt = Date.now();
    this.#sentBytes = 0;
    if (typeof data !== "string") this.#heard.received(new Uint8Array(data as ArrayBuffer));
  }

  #look(): void {
    const waiting = this.#socket.bufferedAmount;
    if (waiting < this.#waitingBytes) this.#heardAt = Date.now();
    this.#waitingBytes = waiting;
    const patience = SILENCE_MS + this.#sentBytes / SLOWEST_BYTES_PER_MS;
    if (Date.now() - this.#heardAt > patience) this.#end();
  }

  #end(code?: number, reason?: string): void {
    if (this.#isOver) return;
    this.close();
    this.#heard.ended(code, reason);
  }
}
