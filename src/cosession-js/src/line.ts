/**
 * One WebSocket, from its handshake to its end, which comes once and in time.
 *
 * - A handshake that isn't answered is given up.
 * - A connection on which nothing was heard for long is given up: its network may be gone without a word. While bytes
 *   leave it isn't: on a slow line a large frame keeps the server's answers waiting.
 * - An error ends it also where no close event follows (Node 22).
 */

import { report } from "./errors.ts";

export interface Heard {
  readonly opened: () => void;
  readonly received: (data: Uint8Array) => void;
  /** The end; without a code when this side, or the network, ended it. */
  readonly ended: (code?: number, reason?: string) => void;
}

/** Longer than on a bad line. A browser waits minutes, and meanwhile opens no other socket to that server, from any tab. */
const HANDSHAKE_MS = 10_000;
/** The server says something at least this often; other clients give up after the same time. */
const SILENCE_MS = 30_000;
const LOOK_MS = 3_000;
/** What has left here may wait in buffers on the way: of a slow line, so many bytes arrive in a millisecond. */
const SLOWEST_BYTES_PER_MS = 16;
/** More isn't handed to the socket at once. */
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

  /** @throws what the browser throws at an address that it doesn't connect to */
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

  /** Whether there is no room for more now. */
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

  /** Ends it; what was sent still leaves. */
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
