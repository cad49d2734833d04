/**
 * The connection to the server: y-websocket's protocol, with what the cosession server adds to it.
 *
 *     connecting ─→ asks what the server lacks ─→ gives it, in pieces ─→ fences, and changes as they come
 *         ↑ pause, which grows with every failure     │ any end but a final one
 *         └───────────────────────────────────────────┘
 *
 * - Changes that the server lacks are found by comparing clocks, and not only by events: see `Backlog`.
 * - Close codes 4400 to 4499 are final: the status becomes `refused`. After any other end the client connects again. A
 *   frame that this client can't parse or can't send is final as well: the next attempt would end in the same way.
 * - The browser's `offline` event drops a socket that would look alive for minutes. It has no other effect: the server
 *   may be on this machine. `online` connects again at once. A page that is put away (`pagehide`, `freeze`)
 *   disconnects: else it would stay in presence, and answer nothing.
 * - Frame 104 contains this page's capabilities and their expiry. With a token function, each connection begins with a
 *   fresh token, and `renewal` sends another in time.
 * - Tabs don't sync with each other. A tab wouldn't forward another tab's changes, and no fence would vouch for them;
 *   two tabs may belong to two participants; and an edit that the server refuses must not spread.
 */

import {
  type Awareness,
  applyAwarenessUpdate,
  encodeAwarenessUpdate,
  removeAwarenessStates,
} from "y-protocols/awareness";
import * as Y from "yjs";
import { type Address, syncUrl } from "./address.ts";
import { Backlog } from "./backlog.ts";
import type { Credential } from "./credential.ts";
import { integrate, type SessionDoc } from "./document.ts";
import { CosessionError, report } from "./errors.ts";
import type { Fences } from "./fences.ts";
import * as frames from "./frames.ts";
import { type Grant, grantFrom } from "./grants.ts";
import { type Limits, utf8Length } from "./limits.ts";
import { Line } from "./line.ts";
import { Pause } from "./pause.ts";
import { type Notice, noticeFrom, type Refusal, refusalFrom } from "./refusal.ts";
import { Renewal } from "./renewal.ts";
import type { Unsaved } from "./unsaved.ts";

/** The state of a connection; `refused` is an end by the server, after which `reconnect` is possible. */
export type LinkStatus = "connecting" | "online" | "offline" | "refused" | "closed";

/** The parts of a session that a connection syncs, and its callbacks. */
export interface Tie {
  readonly doc: SessionDoc;
  readonly awareness: Awareness;
  readonly fences: Fences;
  readonly unsaved: Unsaved;
  readonly limits: () => Limits;
  readonly changed: () => void;
  readonly granted: (grant: Grant) => void;
  /** Called when the server, or this client, refuses something and the connection stays open. */
  readonly noticed: (notice: Notice) => void;
}

const TOO_FAST = 4529;
const NOT_AUTHENTICATED = 4401;
const MALFORMED = 4400;
const TOO_LARGE = 4413;
/** The interval at which a full socket is checked for room. */
const ROOM_MS = 20;

export class Transport {
  status: LinkStatus = "connecting";
  refusal: Refusal | null = null;
  /** Whether the server was sent, on the last connection, all changes that it lacked. */
  hasAnswered = false;
  /** Whether this page and the server have each other's changes. */
  synced = false;
  /** Whether the document can't be used any more: a received update couldn't be applied. */
  isUnreadable = false;
  readonly #address: Address;
  readonly #credential: Credential;
  readonly #tie: Tie;
  readonly #backlog: Backlog;
  readonly #renewal: Renewal;
  readonly #pause = new Pause();
  readonly #browser = new AbortController();
  #line: Line | null = null;
  #notice: Notice | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #room: ReturnType<typeof setTimeout> | undefined;
  #attempts = 0;
  /** Whether a connection is wanted; false before `connect()`, and after an end. */
  #isWanted = false;
  /** Whether the browser has put the page away. */
  #isAway = false;
  /** Whether this connection was accepted: then a fresh token may resolve an expiry. */
  #isServed = false;
  /** Whether the server has sent its state vector, and waits for the changes that it lacks. */
  #isAsked = false;
  #isPlanned = false;
  #isPresenceDue = false;
  #toldPresence: unknown;

  constructor(address: Address, credential: Credential, tie: Tie) {
    this.#address = address;
    this.#credential = credential;
    this.#tie = tie;
    this.#backlog = new Backlog(tie.doc);
    this.#renewal = new Renewal(credential, (token) => {
      address.parameters.token = token;
      this.#line?.send(frames.tokenFrame(token));
    });
    tie.doc.watch((transaction) => {
      if (this.#backlog.note(transaction, this.isOrigin(transaction.origin))) {
        tie.unsaved.brought(transaction);
        tie.fences.edited();
      }
      this.plan();
    });
    tie.awareness.on("update", (_changes: unknown, origin: unknown) => {
      if (origin === this) return; // presence that came from the server isn't sent back to it
      this.#isPresenceDue = true;
      this.plan();
    });
    this.#heedBrowser();
  }

  /** Returns whether a change with this origin came from the server. */
  isOrigin(origin: unknown): boolean {
    return origin === this;
  }

  connect(): void {
    this.#isWanted = true;
    if (this.#isAway || this.#line !== null) return;
    void this.#enter();
  }

  /** Connects again after a refusal, e.g. with a new token. */
  reconnect(parameters: Record<string, string>): void {
    Object.assign(this.#address.parameters, parameters);
    this.#leave();
    this.refusal = null;
    this.#pause.reset();
    this.#become("connecting");
    this.#isWanted = true;
    if (parameters.token === undefined) void this.#enter();
    else this.#open();
  }

  close(): void {
    if (this.status === "closed") return;
    this.flush();
    this.#sayGoodbye();
    this.status = "closed";
    this.#isWanted = false;
    this.#browser.abort();
    this.#leave();
    this.#tie.changed();
  }

  /** Sends waiting changes, presence, then a fence. Of a large backlog it sends as much as there is room for. */
  flush(): void {
    const line = this.#line;
    if (line === null || !line.isOpen) return;
    clearTimeout(this.#room);
    try {
      this.#giveBacklog(line);
    } catch (error) {
      this.#break(error);
      return;
    }
    if (this.#isPresenceDue) this.#givePresence(line);
    if (this.#backlog.isEmpty && !this.#isAsked) this.#tie.fences.advance();
  }

  /** Schedules a `flush` after the current task. */
  plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    queueMicrotask(() => {
      this.#isPlanned = false;
      this.flush();
    });
  }

  #giveBacklog(line: Line): void {
    const { doc, limits } = this.#tie;
    if (!this.#isAsked && !this.hasAnswered) return; // the server's state vector has not arrived yet
    if (doc._transaction !== null) return; // a transaction is open; its end schedules this again
    while (line.isOpen && (this.#isAsked || !this.#backlog.isEmpty)) {
      if (line.isFull) {
        this.#room = setTimeout(() => this.flush(), ROOM_MS);
        return;
      }
      // Each piece of the answer is a sync step 2: it may contain changes of others, which a page's update may not.
      line.send(
        frames.syncFrame(this.#isAsked ? frames.ANSWER : frames.UPDATE, this.#backlog.take(limits())),
      );
      if (line.isOpen && this.#isAsked && this.#backlog.isEmpty) this.#answered(line);
    }
  }

  /** Records that the server was sent all changes that it lacked. */
  #answered(line: Line): void {
    this.#isAsked = false;
    this.hasAnswered = true;
    this.#isServed = true;
    this.#tie.fences.opened((number) => line.send(frames.fenceFrame(number)));
  }

  /** Sends this page's presence; one that is too large, or no JSON, is reported as refused, and the last one stays. */
  #givePresence(line: Line): void {
    this.#isPresenceDue = false;
    const { awareness } = this.#tie;
    const state = awareness.getLocalState();
    try {
      const [bytes, most] = [utf8Length(JSON.stringify(state)), this.#tie.limits().presenceBytes];
      if (bytes > most)
        throw new CosessionError(
          "presence.too_large",
          `Presence has ${bytes} bytes, and the server takes ${most}.`,
        );
      line.send(frames.awarenessFrame(encodeAwarenessUpdate(awareness, [awareness.clientID])));
      this.#toldPresence = undefined;
    } catch (error) {
      if (this.#toldPresence === state) return; // a heartbeat repeats the same state
      this.#toldPresence = state;
      const said = error instanceof Error ? error.message : String(error);
      this.#tie.noticed({
        code: error instanceof CosessionError ? error.code : "presence.invalid",
        reason: `This page's presence isn't told to others: ${said}`,
        touched: "presence",
        request: "",
        final: false,
      });
    }
  }

  /** Announces that this page leaves: its claims are free at once, while a lost connection keeps them for a grace. */
  #sayGoodbye(): void {
    const { awareness } = this.#tie;
    if (!awareness.meta.has(awareness.clientID)) return;
    this.#line?.send(
      frames.awarenessFrame(encodeAwarenessUpdate(awareness, [awareness.clientID], new Map())),
    );
  }

  /** Connects with a fresh token. Without one it tries again later; after an expiry, the server's refusal is final. */
  async #enter(expired?: { readonly reason: string }): Promise<void> {
    clearTimeout(this.#timer);
    this.#attempts += 1;
    if (!this.#credential.isRenewable) {
      this.#open();
      return;
    }
    const attempt = this.#attempts;
    try {
      const token = await this.#credential.fresh();
      if (attempt !== this.#attempts) return;
      if (token !== undefined) this.#address.parameters.token = token;
      this.#open();
    } catch {
      if (attempt !== this.#attempts) return;
      if (expired) this.#refuse(NOT_AUTHENTICATED, expired.reason);
      else this.#comeBack(this.#pause.ended());
    }
  }

  #open(): void {
    const { awareness } = this.#tie;
    // A fresh clock: else a server that still has the last connection's state would ignore this one.
    awareness.setLocalState(awareness.getLocalState());
    this.#notice = null;
    this.hasAnswered = false;
    this.#isServed = false;
    this.#isAsked = false;
    const client = String(this.#tie.doc.clientID);
    const query = new URLSearchParams({ ext: "1", client, ...this.#address.parameters });
    try {
      const url = `${syncUrl(this.#address.url)}/${encodeURIComponent(this.#address.session)}?${query}`;
      const line: Line = new Line(url, {
        opened: () => this.#begin(line),
        received: (data) => line === this.#line && this.#receive(line, data),
        ended: (code, reason) => line === this.#line && this.#ended(code, reason),
      });
      this.#line = line;
    } catch (error) {
      report(error);
      this.#comeBack(this.#pause.ended());
    }
  }

  #begin(line: Line): void {
    if (line !== this.#line) return;
    line.send(frames.syncFrame(frames.ASK, Y.encodeStateVector(this.#tie.doc)));
    if (this.#tie.awareness.getLocalState() !== null) this.#givePresence(line);
  }

  #receive(line: Line, data: Uint8Array): void {
    try {
      const frame = frames.readFrame(data);
      if (frame !== null) this.#take(line, frame);
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      this.isUnreadable = true;
      const reason = `This page can't read what the server sent (${said}); reload it, or update the client.`;
      this.#end(refusalFrom({ code: "server.unreadable", reason }, MALFORMED));
    }
  }

  #take(line: Line, frame: frames.Received): void {
    const { awareness, doc, fences, unsaved } = this.#tie;
    switch (frame.kind) {
      case frames.SYNC:
        if (frame.step === frames.ASK) {
          const known = Y.decodeStateVector(frame.bytes);
          unsaved.compared(known);
          this.#backlog.reset(known);
          this.#isAsked = true;
          this.flush();
          return;
        }
        integrate(doc, frame.bytes, this);
        if (frame.step === frames.ANSWER) this.#becomeSynced();
        return;
      case frames.AWARENESS:
        try {
          applyAwarenessUpdate(awareness, frame.bytes, this);
        } catch (error) {
          report(error); // presence is replaced soon: the next one may be valid
        }
        return;
      case frames.QUERY_AWARENESS:
        this.#givePresence(line);
        return;
      case frames.FENCE:
        // Changes that no event reported are found here.
        if (this.#backlog.look()) fences.edited();
        fences.received(frame.number);
        return;
      case frames.NOTICE: {
        const notice = noticeFrom(frame.json);
        if (notice?.final === false) this.#tie.noticed(notice);
        else this.#notice = notice;
        return;
      }
      case frames.GRANT: {
        const grant = grantFrom(frame.json);
        if (grant === undefined) return;
        this.#isServed = true;
        this.#renewal.plan(grant.expires_at);
        this.#tie.granted(grant);
      }
    }
  }

  #becomeSynced(): void {
    this.synced = true;
    this.#pause.began();
    this.#become("online");
    this.#tie.changed();
  }

  /** Handles the end of the connection, by the server, the network, or a timeout. */
  #ended(code?: number, reason = ""): void {
    this.#leave();
    if (code !== undefined && code >= 4400 && code <= 4499) this.#refuse(code, reason);
    else this.#comeBack(this.#pause.ended(code === TOO_FAST));
  }

  /** Drops the connection, and cancels the timers. */
  #leave(): void {
    const line = this.#line;
    this.#line = null;
    this.#attempts += 1;
    clearTimeout(this.#timer);
    clearTimeout(this.#room);
    line?.close();
    this.#renewal.stop();
    this.#isAsked = false;
    this.#tie.fences.closed();
    const { awareness } = this.#tie;
    const others = [...awareness.getStates().keys()].filter((client) => client !== awareness.clientID);
    if (others.length > 0) removeAwarenessStates(awareness, others, this);
    if (!this.synced) return;
    this.synced = false;
    this.#tie.changed();
  }

  /** Connects again after a pause. */
  #comeBack(pause: number): void {
    this.#become("offline");
    if (!this.#isWanted || this.#isAway) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#enter(), pause);
  }

  #refuse(code: number, reason: string): void {
    const notice = this.#notice;
    const { failure, isRenewable } = this.#credential;
    const said = notice?.reason || reason || "The server refused the connection.";
    if (code === NOT_AUTHENTICATED && isRenewable && this.#isServed && failure === null) {
      this.#isServed = false;
      this.#become("offline"); // a fresh token may be accepted; if it isn't, the refusal is final
      void this.#enter({ reason: said });
      return;
    }
    const isFailure = code === NOT_AUTHENTICATED && failure !== null;
    const told = isFailure ? `${said} ${failure.message}` : said;
    this.#end(refusalFrom({ code: notice?.code ?? "", reason: told, touched: notice?.touched ?? "" }, code));
  }

  /** Treats a change that can't be sent as refused; the texts written with it are reported as lost. */
  #break(error: unknown): void {
    const known = error instanceof CosessionError ? error : null;
    const said = error instanceof Error ? error.message : String(error);
    this.hasAnswered = true;
    const told = {
      code: known?.code ?? "document.unsendable",
      reason: known?.message ?? `Something was written that can't be sent: ${said}`,
    };
    this.#end(refusalFrom(told, known === null ? MALFORMED : TOO_LARGE));
  }

  #end(refusal: Refusal): void {
    this.#isWanted = false;
    this.#leave();
    this.refusal = refusal;
    this.#become("refused");
  }

  #become(status: LinkStatus): void {
    if (this.status === status || this.status === "closed") return;
    this.status = status;
    this.#tie.changed();
  }

  #heedBrowser(): void {
    if (typeof window === "undefined") return;
    const { signal } = this.#browser;
    const again = (): void => {
      if (!this.#isWanted || this.#isAway) return;
      this.#leave();
      this.#pause.reset();
      this.#become("offline");
      void this.#enter();
    };
    const away = (): void => {
      this.flush();
      this.#isAway = true;
      if (!this.#isWanted) return;
      this.#leave();
      this.#become("offline");
    };
    const back = (): void => {
      if (!this.#isAway) return;
      this.#isAway = false;
      again();
    };
    window.addEventListener("offline", again, { signal });
    window.addEventListener("online", () => this.status === "online" || again(), { signal });
    window.addEventListener("pagehide", away, { signal });
    window.addEventListener("pageshow", back, { signal });
    globalThis.document?.addEventListener("freeze", away, { signal });
    globalThis.document?.addEventListener("resume", back, { signal });
  }
}
