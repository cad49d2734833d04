/**
 * The connection: y-websocket's provider, with what the cosession server adds to it.
 *
 * - Frames 102 (fence) and 103 (notice), asked for with `ext=1`.
 * - Close codes 4400 to 4499 are final: the status becomes `refused`. Everything else is tried again, after a pause with
 *   jitter, so that a restarted server doesn't meet all its clients at once; longer when the server says "too fast".
 * - The browser's `offline` event drops a socket that would look alive for minutes. It isn't believed more than that: the
 *   server may be on this very machine. `online` tries again at once.
 * - Tabs don't talk to each other (no BroadcastChannel). What a tab hears from another tab it wouldn't send on, and no fence
 *   would vouch for it; two tabs may belong to two participants; and an edit that the server refuses must not spread.
 * - Presence that came from the server isn't sent back to it, as the provider would.
 */

import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import type { Awareness } from "y-protocols/awareness";
import { messageSync, WebsocketProvider } from "y-websocket";
import type * as Y from "yjs";
import type { Fences } from "./fences.ts";

export type Status = "connecting" | "online" | "offline" | "refused" | "closed";

export interface Refusal {
  /** The WebSocket close code, 4400 to 4499. */
  readonly code: number;
  /** A sentence that says what to do. */
  readonly reason: string;
  /** The server's name of the error, e.g. `auth.forbidden`, when it sent one. */
  readonly error?: string;
}

export interface Address {
  readonly url: string;
  readonly session: string;
  readonly parameters: Record<string, string>;
}

export const FENCE = 102;
export const NOTICE = 103;

const FIRST_PAUSE_MS = 200;
/** People watch the page come back: longer pauses cost them more than they save the server. */
const LONGEST_PAUSE_MS = 10_000;
const TOO_FAST = 4529;

export class Transport {
  status: Status = "connecting";
  refusal: Refusal | null = null;
  readonly #provider: WebsocketProvider;
  readonly #fences: Fences;
  readonly #changed: () => void;
  readonly #browser = new AbortController();
  #notice: { code: string; reason: string } | null = null;

  constructor(address: Address, doc: Y.Doc, awareness: Awareness, fences: Fences, changed: () => void) {
    this.#fences = fences;
    this.#changed = changed;
    const provider = new WebsocketProvider(syncUrl(address.url), encodeURIComponent(address.session), doc, {
      awareness,
      params: { ext: "1", ...address.parameters },
      connect: false,
      disableBc: true,
    });
    this.#provider = provider;
    this.#answerFrames();
    this.#keepPresenceOneWay();
    provider.on("status", ({ status }) => {
      // A fresh clock, or servers that still know the state of the last connection would ignore this one.
      if (status === "connecting") {
        awareness.setLocalState(awareness.getLocalState());
        this.#notice = null;
      }
    });
    provider.on("sync", (synced) => {
      if (synced) this.#become("online");
      changed();
    });
    provider.on("connection-close", (event) => {
      this.#fences.closed();
      this.#plan(event?.code);
      if (event === null || provider.shouldReconnect(event, provider)) this.#become("offline");
    });
    provider.on("connection-error", () => {
      const failed = provider.ws;
      setTimeout(() => this.#giveUp(failed));
    });
    provider.on("closed", ({ code, reason }) => this.#refuse(code, reason));
    this.#heedBrowser();
  }

  /** Whether this page and the server have what the other has. */
  get synced(): boolean {
    return this.#provider.synced;
  }

  /** Whether an update with this origin came from the server. */
  isOrigin(origin: unknown): boolean {
    return origin === this.#provider;
  }

  connect(): void {
    this.#provider.connect();
  }

  /** Tries again after a refusal, e.g. with a new token. */
  reconnect(parameters: Record<string, string>): void {
    Object.assign(this.#provider.params, parameters);
    this.#provider.disconnect();
    this.refusal = null;
    this.#become("connecting");
    this.#provider.connect();
  }

  close(): void {
    this.status = "closed";
    this.#browser.abort();
    this.#provider.destroy();
    this.#changed();
  }

  #answerFrames(): void {
    const handlers = this.#provider.messageHandlers;
    const answerSync = handlers[messageSync] as (typeof handlers)[number];
    handlers[messageSync] = (encoder, decoder, provider, emitSynced, kind) => {
      answerSync(encoder, decoder, provider, emitSynced, kind);
      // The provider sends the answer, a sync step 2, right after this; then the server lacks nothing.
      if (encoding.length(encoder) > 1) queueMicrotask(() => this.#openFences(provider.ws));
    };
    handlers[FENCE] = (_encoder, decoder) => this.#fences.received(decoding.readVarUint(decoder));
    handlers[NOTICE] = (_encoder, decoder) => {
      this.#notice = JSON.parse(decoding.readVarString(decoder));
    };
  }

  #openFences(socket: WebSocket | null): void {
    if (socket === null || socket !== this.#provider.ws) return;
    this.#fences.opened((number) => {
      const encoder = encoding.createEncoder();
      encoding.writeVarUint(encoder, FENCE);
      encoding.writeVarUint(encoder, number);
      if (socket.readyState === socket.OPEN) socket.send(encoding.toUint8Array(encoder));
    });
  }

  #keepPresenceOneWay(): void {
    const { awareness, _awarenessUpdateHandler: send } = this.#provider;
    awareness.off("update", send);
    const sendOwn: typeof send = (changes, origin) => {
      if (origin !== this.#provider) send(changes, origin);
    };
    awareness.on("update", sendOwn);
    this.#browser.signal.addEventListener("abort", () => awareness.off("update", sendOwn));
  }

  /** Sets the pause before the next attempt; the provider takes the shorter of its own (doubling) pause and ours. */
  #plan(code: number | undefined): void {
    const provider = this.#provider;
    if (code === TOO_FAST) provider.wsUnsuccessfulReconnects = 6;
    const doubled = FIRST_PAUSE_MS * 2 ** provider.wsUnsuccessfulReconnects;
    provider.maxBackoffTime = Math.min(doubled, LONGEST_PAUSE_MS) * (0.5 + Math.random() / 2);
  }

  /** Node's WebSocket (up to 22 at least) doesn't close after an error, and the provider would wait for that for ever. */
  #giveUp(failed: WebSocket | null): void {
    const provider = this.#provider;
    if (failed === null || provider.ws !== failed || !provider.shouldConnect) return;
    provider.disconnect();
    provider.shouldConnect = true; // the next attempt is planned already
  }

  #refuse(code: number, reason: string): void {
    const notice = this.#notice;
    this.refusal = Object.freeze({
      code,
      reason: notice?.reason || reason || "The server refused the connection.",
      ...(notice ? { error: notice.code } : {}),
    });
    this.#become("refused");
  }

  #become(status: Status): void {
    if (this.status === status || this.status === "closed") return;
    this.status = status;
    this.#changed();
  }

  #heedBrowser(): void {
    if (typeof window === "undefined") return;
    const { signal } = this.#browser;
    const again = (): void => {
      if (this.status === "refused" || !this.#provider.shouldConnect) return;
      this.#provider.disconnect();
      this.#provider.wsUnsuccessfulReconnects = 0;
      this.#provider.connect();
    };
    window.addEventListener("offline", again, { signal });
    window.addEventListener("online", () => this.status === "online" || again(), { signal });
  }
}

/** `https://host/base` → `wss://host/base/sync`. */
export function syncUrl(url: string): string {
  const sync = new URL(url);
  sync.protocol = sync.protocol === "https:" || sync.protocol === "wss:" ? "wss:" : "ws:";
  sync.search = "";
  sync.hash = "";
  return `${sync.href.replace(/\/+$/, "")}/sync`;
}
