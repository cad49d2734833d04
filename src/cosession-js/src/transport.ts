/**
 * The connection: y-websocket's provider, with what the cosession server adds to it.
 *
 * - Frames 102 (fence), 103 (notice) and 104 (grant), asked for with `ext=1`.
 * - Close codes 4400 to 4499 are final: the status becomes `refused`. Everything else is tried again, after a pause with
 *   jitter, so that a restarted server doesn't meet all its clients at once; longer when the server says "too fast".
 * - A handshake that isn't answered is given up in time.
 * - The browser's `offline` event drops a socket that would look alive for minutes. It isn't believed more than that: the
 *   server may be on this very machine. `online` tries again at once.
 * - Frame 104 says what this page may do, and until when. With a function that gives tokens, each connection begins with a
 *   fresh one, and `renewal` sends another in time.
 * - Tabs don't talk to each other (no BroadcastChannel). What a tab hears from another tab it wouldn't send on, and no fence
 *   would vouch for it; two tabs may belong to two participants; and an edit that the server refuses must not spread.
 * - Presence that came from the server isn't sent back to it, as the provider would.
 */

import * as decoding from "lib0/decoding";
import { length } from "lib0/encoding";
import type { Awareness } from "y-protocols/awareness";
import { messageYjsSyncStep1 } from "y-protocols/sync";
import { messageSync, WebsocketProvider } from "y-websocket";
import type * as Y from "yjs";
import { type Address, syncUrl } from "./address.ts";
import type { Credential } from "./credential.ts";
import type { Fences } from "./fences.ts";
import { FENCE, fenceFrame, GRANT, NOTICE, tokenFrame } from "./frames.ts";
import { type Grant, grantFrom } from "./grants.ts";
import { type Notice, noticeFrom, type Refusal } from "./refusal.ts";
import { Renewal } from "./renewal.ts";
import type { Unsaved } from "./unsaved.ts";

export type Status = "connecting" | "online" | "offline" | "refused" | "closed";

/** What a connection carries, and whom it tells. */
export interface Tie {
  readonly doc: Y.Doc;
  readonly awareness: Awareness;
  readonly fences: Fences;
  readonly unsaved: Unsaved;
  readonly changed: () => void;
  readonly granted: (grant: Grant) => void;
}

/** Longer than on a bad line. A browser waits minutes, and meanwhile opens no other socket to that server, from any tab. */
const HANDSHAKE_MS = 10_000;
const FIRST_PAUSE_MS = 200;
/** People watch the page come back: longer pauses cost them more than they save the server. */
const LONGEST_PAUSE_MS = 10_000;
const TOO_FAST = 4529;
const NOT_AUTHENTICATED = 4401;
export class Transport {
  status: Status = "connecting";
  refusal: Refusal | null = null;
  /** Whether on the last connection the server was given what it lacked. */
  hasAnswered = false;
  readonly #provider: WebsocketProvider;
  readonly #credential: Credential;
  readonly #tie: Tie;
  readonly #fences: Fences;
  readonly #changed: () => void;
  readonly #renewal: Renewal;
  readonly #browser = new AbortController();
  #notice: Notice | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #tries = 0;
  /** Whether a token is asked for, or an attempt planned, by us and not by the provider. */
  #isWaiting = false;
  /** Whether this connection was let in: then an expiry may be healed by a fresh token. */
  #isServed = false;

  constructor(address: Address, credential: Credential, tie: Tie) {
    const { doc, awareness, fences, changed } = tie;
    this.#tie = tie;
    this.#credential = credential;
    this.#fences = fences;
    this.#changed = changed;
    const provider = new WebsocketProvider(syncUrl(address.url), encodeURIComponent(address.session), doc, {
      awareness,
      params: { ext: "1", ...address.parameters },
      connect: false,
      disableBc: true,
    });
    this.#provider = provider;
    this.#renewal = new Renewal(credential, (token) => {
      provider.params.token = token;
      if (provider.ws !== null) this.#send(provider.ws, tokenFrame(token));
    });
    this.#answerFrames();
    this.#keepPresenceOneWay();
    provider.on("status", ({ status }) => {
      if (status !== "disconnected") clearTimeout(this.#timer);
      if (status === "connecting") {
        const { ws } = provider;
        this.#timer = setTimeout(() => this.#giveUp(ws), HANDSHAKE_MS);
        // A fresh clock, or servers that still know the state of the last connection would ignore this one.
        awareness.setLocalState(awareness.getLocalState());
        this.#notice = null;
        this.hasAnswered = false;
        this.#isServed = false;
      }
    });
    provider.on("sync", (synced) => {
      if (synced) {
        this.#tries = 0;
        this.#become("online");
      }
      changed();
    });
    provider.on("connection-close", (event) => {
      this.#fences.closed();
      this.#renewal.stop();
      clearTimeout(this.#timer);
      const pause = this.#plan(event?.code);
      if (event !== null && !provider.shouldReconnect(event, provider)) return;
      this.#become("offline");
      if (credential.isRenewable && provider.shouldConnect) this.#comeBack(pause);
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
    if (this.#credential.isRenewable) void this.#enter();
    else this.#provider.connect();
  }

  /** Tries again after a refusal, e.g. with a new token. */
  reconnect(parameters: Record<string, string>): void {
    Object.assign(this.#provider.params, parameters);
    this.#provider.disconnect();
    this.refusal = null;
    this.#become("connecting");
    if (parameters.token === undefined) this.connect();
    else this.#provider.connect();
  }

  close(): void {
    this.status = "closed";
    this.#tries += 1;
    clearTimeout(this.#timer);
    this.#renewal.stop();
    this.#browser.abort();
    this.#provider.destroy();
    this.#changed();
  }

  #answerFrames(): void {
    const handlers = this.#provider.messageHandlers;
    const answerSync = handlers[messageSync] as (typeof handlers)[number];
    handlers[messageSync] = (encoder, decoder, provider, emitSynced, kind) => {
      this.#compare(decoder);
      answerSync(encoder, decoder, provider, emitSynced, kind);
      // The provider sends the answer, a sync step 2, right after this; then the server lacks nothing.
      if (length(encoder) > 1) queueMicrotask(() => this.#openFences(provider.ws));
    };
    handlers[FENCE] = (_encoder, decoder) => this.#fences.received(decoding.readVarUint(decoder));
    handlers[NOTICE] = (_encoder, decoder) => {
      this.#notice = noticeFrom(decoding.readVarString(decoder));
    };
    handlers[GRANT] = (_encoder, decoder) => {
      const grant = grantFrom(decoding.readVarString(decoder));
      if (grant === undefined) return;
      this.#isServed = true;
      this.#renewal.plan(grant.expires_at);
      this.#tie.granted(grant);
    };
  }

  /** Notes what the server has, when this is its sync step 1. */
  #compare({ arr, pos }: decoding.Decoder): void {
    const ahead = decoding.createDecoder(arr);
    ahead.pos = pos;
    if (decoding.readVarUint(ahead) === messageYjsSyncStep1)
      this.#tie.unsaved.compared(decoding.readVarUint8Array(ahead));
  }

  #openFences(socket: WebSocket | null): void {
    if (socket === null || socket !== this.#provider.ws) return;
    this.hasAnswered = true;
    this.#isServed = true;
    this.#fences.opened((number) => this.#send(socket, fenceFrame(number)));
  }

  #send(socket: WebSocket, frame: Uint8Array<ArrayBuffer>): void {
    if (socket.readyState === socket.OPEN) socket.send(frame);
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

  /** Connects with a fresh token. Without one it tries again later; after an expiry, the server's word is final. */
  async #enter(expired?: { readonly reason: string }): Promise<void> {
    this.#tries += 1;
    const tries = this.#tries;
    this.#isWaiting = true;
    try {
      const token = await this.#credential.fresh();
      if (tries !== this.#tries) return;
      this.#isWaiting = false;
      if (token !== undefined) this.#provider.params.token = token;
      this.#provider.connect();
    } catch {
      if (tries !== this.#tries) return;
      this.#isWaiting = false;
      if (expired) {
        this.#refuse(NOT_AUTHENTICATED, expired.reason);
        return;
      }
      this.#provider.wsUnsuccessfulReconnects += 1;
      this.#become("offline");
      this.#comeBack(this.#plan(undefined));
    }
  }

  /** Enters again after a pause; the provider's own attempt, which would show the old token, is called off. */
  #comeBack(pause: number): void {
    this.#provider.shouldConnect = false;
    this.#isWaiting = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#enter(), pause);
  }

  /** Sets the pause before the next attempt; the provider takes the shorter of its own (doubling) pause and ours. */
  #plan(code: number | undefined): number {
    const provider = this.#provider;
    if (code === TOO_FAST) provider.wsUnsuccessfulReconnects = 6;
    const doubled = FIRST_PAUSE_MS * 2 ** provider.wsUnsuccessfulReconnects;
    provider.maxBackoffTime = Math.min(doubled, LONGEST_PAUSE_MS) * (0.5 + Math.random() / 2);
    return provider.maxBackoffTime;
  }

  /** Drops a socket that won't open: the provider would wait for ever, as it does where an error is the end (Node 22). */
  #giveUp(failed: WebSocket | null): void {
    const provider = this.#provider;
    if (failed === null || provider.ws !== failed || !provider.shouldConnect) return;
    provider.disconnect();
    if (this.#credential.isRenewable) this.#comeBack(provider.maxBackoffTime);
    else provider.shouldConnect = true; // the next attempt is planned already
  }

  #refuse(code: number, reason: string): void {
    const notice = this.#notice;
    const { failure, isRenewable } = this.#credential;
    const said = notice?.reason || reason || "The server refused the connection.";
    if (code === NOT_AUTHENTICATED && isRenewable && this.#isServed && failure === null) {
      this.#become("offline"); // a fresh token may open the door again; when that one doesn't, it is over
      void this.#enter({ reason: said });
      return;
    }
    const isFailure = code === NOT_AUTHENTICATED && failure !== null;
    this.refusal = Object.freeze({
      ...notice,
      code,
      reason: isFailure ? `${said} ${failure.message}` : said,
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
      if (this.status === "refused" || !(this.#provider.shouldConnect || this.#isWaiting)) return;
      this.#provider.disconnect();
      this.#provider.wsUnsuccessfulReconnects = 0;
      this.connect();
    };
    window.addEventListener("offline", again, { signal });
    window.addEventListener("online", () => this.status === "online" || again(), { signal });
  }
}
