/**
 * A session in a page: one document, its connection, and views of it.
 *
 * Every value read here is an immutable snapshot which stays the same object until it changes; every write is a local
 * edit at once, and is sent when there is a connection. The page never seeds a document, and of `meta` it writes only
 * the title. The views hold no document: after a refusal there is another one, and they continue with that.
 */

import type { Awareness } from "y-protocols/awareness";
import type * as Y from "yjs";
import { syncUrl } from "./address.ts";
import { announceChanges } from "./announcements.ts";
import { type Claim, type ClaimOptions, Claims, type Holding } from "./claims.ts";
import { Counters } from "./counters.ts";
import { Credential } from "./credential.ts";
import { Disconnected, InvalidValue } from "./errors.ts";
import { Events, type Off } from "./events.ts";
import { type Grant, includes, type Me } from "./grants.ts";
import { colorOf, guest, identify } from "./identity.ts";
import { freshId } from "./ids.ts";
import { checkedId, checkedIds, checkedObject, checkedText, type JsonObject } from "./json.ts";
import { checkName, checkRecord, checkValue, DEFAULT_LIMITS, type Limits, limitsFrom } from "./limits.ts";
import { partsFrom } from "./messages.ts";
import { type Copy, copyName } from "./offline.ts";
import type { ConnectOptions, SendOptions, SessionEvents } from "./options.ts";
import { PresenceList } from "./presence.ts";
import { Queue } from "./queue.ts";
import { type Notice, type Refusal, refusalFrom } from "./refusal.ts";
import type { Replica } from "./replica.ts";
import { Replicas } from "./replicas.ts";
import { Selections } from "./selections.ts";
import { State } from "./state.ts";
import { type Tool, Tools } from "./tools.ts";
import { transact } from "./transact.ts";
import { VIEWS, type View } from "./views.ts";
import { type WaitOptions, waitFor } from "./waiting.ts";
import { iterate } from "./watching.ts";
import { Wishes } from "./wishes.ts";

/** The state of the connection: `offline` comes back by itself, and `closed` has a reason, `session.error`. */
export type Status = "connecting" | "online" | "offline" | "closed";

interface Facts {
  readonly status: Status;
  readonly saved: boolean;
  readonly synced: boolean;
  readonly copy: Copy;
}

/** The events whose values all count; of the others, which are snapshots, only the latest does. */
const EACH: ReadonlySet<string> = new Set(["refused"]);

export class Session extends Wishes {
  readonly id: string;
  readonly state: State;
  readonly selections: Selections;
  readonly counters: Counters;
  readonly presence: PresenceList;
  readonly queue: Queue;

  /** The server's limits; the defaults, until it has sent them. */
  limits: Limits = DEFAULT_LIMITS;

  readonly #events = new Events<SessionEvents>();
  readonly #refusals = new Events<{ refused: Refusal }>();
  readonly #claims = new Claims(this, this.snapshots, () => this.#replicas.current.fences.stored());
  readonly #tools = new Tools(this, this.#claims);
  readonly #replicas: Replicas;
  #me: Me;
  #closed = false;
  #error: Disconnected | null = null;
  /** The refusal that `#error` tells. */
  #refusal: Refusal | null = null;
  #lost: readonly string[] = [];
  #told: Facts;
  readonly #isOffline: boolean;
  readonly #syncUrl: string;

  constructor(url: string, id: string, options: ConnectOptions = {}) {
    super();
    this.id = checkedSession(id);
    const { token, offline = false, rollupMs = 0 } = options;
    const credential = new Credential(token);
    const me = identify(options, credential.known, token !== undefined);
    this.#isOffline = offline;
    this.#syncUrl = syncUrl(url);
    this.#me = Object.freeze({ ...me, capabilities: null, expires_at: null });
    const checkOpen = this.checkOpen.bind(this);
    const on = this.on.bind(this);
    this.state = new State(this, this.snapshots, (listener) => on("state", listener), checkOpen);
    this.selections = new Selections(this, this.snapshots, checkOpen);
    this.counters = new Counters(this, this.snapshots, checkOpen);
    this.queue = new Queue(this, this.snapshots, checkOpen);
    this.presence = new PresenceList(this, () => this.#tellPresence(), checkOpen);
    const parameters = {
      user: me.id || guest(), // used by a server without tokens
      name: me.name || "Guest",
      kind: me.kind,
      ...(credential.known === undefined ? {} : { token: credential.known }),
      ...(checkedRollup(rollupMs) === 0 ? {} : { rollup: String(rollupMs) }),
    };
    const copy = offline && me.id !== "" ? copyName(this.#syncUrl, this.id, me.id) : null;
    const state = me.id === "" ? {} : { user: me };
    this.#replicas = new Replicas({ url, session: this.id, parameters }, credential, copy, {
      changed: () => this.#announce(),
      granted: (grant) => this.#become(grant),
      noticed: (notice) => this.#heed(notice),
      limits: () => this.limits,
      made: (made, before) => this.#watch(made, before?.awareness.getLocalState() ?? state),
      replaced: () => this.#tellAnew(),
      refused: (refusal) => {
        this.#lost = refusal.final ? refusal.lost : [];
        this.#events.emit("refused", Object.freeze(refusal));
        this.#refusals.emit("refused", refusal);
      },
    });
    this.#watch(this.#replicas.current, state);
    this.#told = this.#facts;
    void this.#replicas.open();
  }

  /** The Yjs document, for editors. After a refusal another one replaces it, with the event `doc`. */
  get doc(): Y.Doc {
    return this.#replicas.current.doc;
  }

  /** The Yjs awareness, for editors that show cursors. It is replaced together with `doc`. */
  get awareness(): Awareness {
    return this.#replicas.current.awareness;
  }

  /** The participant of this page: as the server verified it, or, until then, as this page requested. */
  get me(): Me {
    return this.#me;
  }

  /**
   * Returns whether this page has a capability: `prompt`, `cancel-any`, `state:trip/hotel`, `text:notes`. True until
   * the server has sent them; the server decides in any case.
   */
  may(capability: string): boolean {
    const { capabilities } = this.#me;
    return capabilities === null || includes(capabilities, capability);
  }

  get status(): Status {
    const { status } = this.#replicas;
    return status === "refused" ? "closed" : status;
  }

  /** The reason why the session is closed: the server's refusal, or `close()`; null while it isn't. */
  get error(): Disconnected | null {
    if (this.#closed) return this.#error;
    const { refusal, status } = this.#replicas;
    if (status !== "refused" || refusal === null) return null;
    if (refusal !== this.#refusal) {
      this.#refusal = refusal;
      this.#error = new Disconnected(refusal, this.#lost);
    }
    return this.#error;
  }

  /** Whether this page has all that the server has. */
  get synced(): boolean {
    return this.#replicas.synced;
  }

  /** Whether every edit made here is committed to the server's storage, so that a page may show "Saved". */
  get saved(): boolean {
    return this.#replicas.saved;
  }

  /** Whether this browser keeps a copy of the session, so that edits survive a reload: asked for with `offline`. */
  get copy(): Copy {
    return this.#replicas.copy;
  }

  /** The holders of claims, by key. */
  get claims(): Readonly<Record<string, Holding>> {
    return this.#claims.all;
  }

  setTitle(title: string): void {
    this.checkOpen();
    const written = checkedText(title, "The title");
    checkRecord(written, this.limits, "The title");
    checkValue(written, this.limits, "The title");
    if (written !== this.title) transact(this.doc, () => this.doc.getMap("meta").set("title", written));
  }

  /** Adds a message and returns its id. */
  send(content: string | readonly JsonObject[], options: SendOptions = {}): string {
    const id = options.id ?? freshId("msg");
    const to = checkedIds(options.to ?? [], "The agents that are asked");
    const metadata = {
      ...checkedObject(options.metadata ?? {}, "The metadata of a message"),
      ...(options.parent === undefined ? {} : { parent: options.parent }),
      ...(to.length === 0 ? {} : { to }),
      ...(this.me.id === "" ? {} : { author: this.me.id }),
      created_at: now(),
      status: "complete",
    };
    this.checkOpen();
    this.written.append({ id, role: options.role ?? "user", parts: partsFrom(content), metadata });
    return id;
  }

  /** Changes a message's text, as little as possible, so that concurrent edits merge. */
  edit(message: string, text: string): void {
    this.checkOpen();
    this.written.edit(message, text, now(), this.me.id);
  }

  /** Deletes the content of a message; an empty message marked `deleted` stays. */
  remove(message: string): void {
    this.checkOpen();
    this.written.remove(message, now());
  }

  /**
   * Requests a claim, which one page at a time holds, until this page closes; null when another page holds it. The same
   * page may claim again, to hold it longer.
   */
  async claim(key: string, options: ClaimOptions = {}): Promise<Claim | null> {
    this.checkOpen();
    return this.#claims.ask(checkedId(key, "The key of a claim"), options);
  }

  /** Offers agents a tool that runs in this page, until the returned function is called. */
  offerTool(name: string, tool: Tool): Off {
    this.checkOpen();
    return this.#tools.offer(name, tool);
  }

  /** Returns a shared text. */
  text(name: string): Y.Text {
    return this.doc.getText(`text:${this.#named(name)}`);
  }

  /** Returns a shared rich text; Tiptap and other editors bind to it. */
  xml(name: string): Y.XmlFragment {
    return this.doc.getXmlFragment(`xml:${this.#named(name)}`);
  }

  /** Calls `listener` at each `event`, until the returned function is called. */
  on<Name extends keyof SessionEvents>(event: Name, listener: (value: SessionEvents[Name]) => void): Off {
    return this.#events.on(event, listener);
  }

  /**
   * Iterates over the values of an event as they come. A slow reader gets the latest snapshot; of refusals, 256 wait.
   * The iteration ends with `close()`, and throws `Disconnected` when the server ends the session.
   */
  watch<Name extends keyof SessionEvents>(event: Name): AsyncIterable<SessionEvents[Name]> {
    return iterate<SessionEvents[Name]>({
      isLatest: !EACH.has(event),
      subscribe: (next, ended) => {
        const look = (): void => {
          if (this.error !== null) ended(this.error);
        };
        const offs = [this.on(event, next), this.on("status", look)];
        look();
        return () => {
          for (const off of offs) off();
        };
      },
    });
  }

  /** Resolves when this page has all that the server has; rejects with `Disconnected` or `TimedOut`. */
  async waitSynced(options: WaitOptions = {}): Promise<void> {
    const what = "The first sync";
    await waitFor(this, ["synced"], () => this.synced || undefined, { ...options, what });
  }

  /**
   * Resolves when every edit made here is committed to the server's storage. A request that the server declines is saved
   * like any other edit.
   *
   * @throws WriteRefused when the server refuses one of them
   * @throws Disconnected when the session is closed
   * @throws TimedOut when the time is over
   */
  async waitSaved(options: WaitOptions = {}): Promise<void> {
    const onRefused = (listener: (refusal: Refusal) => void): Off => this.#refusals.on("refused", listener);
    const what = "Saving";
    await waitFor(this, ["saved"], () => this.saved || undefined, { ...options, onRefused, what });
  }

  /** Resolves when the session is closed, with the reason. */
  waitClosed(): Promise<Disconnected> {
    return waitFor(this, [], () => this.error ?? undefined);
  }

  /** Tries again at once, e.g. after a refusal with a new token. */
  reconnect({ token }: { token?: string } = {}): void {
    if (this.#closed) throw this.error ?? new Disconnected(null);
    this.#replicas.reconnect(token);
  }

  /** Leaves the session, and frees all that it holds. */
  close(): void {
    if (this.#closed) return;
    const ended = this.#begin();
    this.#replicas.close();
    this.#end(ended);
  }

  /** Leaves the session when everything is saved: for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.error === null) await this.waitSaved();
    } finally {
      this.close();
    }
  }

  /** Leaves the session and removes this browser's copy of it, with the edits that were never saved. */
  async discard(): Promise<void> {
    if (this.#closed) return;
    const ended = this.#begin();
    const discarded = this.#replicas.discard();
    this.#end(ended);
    await discarded;
  }

  protected override checkOpen(): void {
    const { error } = this;
    if (error !== null) throw error;
  }

  #begin(): Disconnected {
    this.#closed = true;
    this.#error = new Disconnected(null);
    this.#claims.end();
    return this.#error;
  }

  #end(error: Disconnected): void {
    this.requests.end(error);
    this.#events.clear();
    this.#refusals.clear();
  }

  #named(name: string): string {
    const checked = checkedId(name, "The name of a text");
    checkName(checked, this.limits, "The name of a text");
    return checked;
  }

  /** Applies the server's grant. */
  #become({ id, name, kind, capabilities, expires_at, limits }: Grant): void {
    const color = this.#me.id === "" ? colorOf(id) : this.#me.color;
    this.#me = Object.freeze({ id, name, kind, color, capabilities, expires_at });
    this.limits = limitsFrom(limits, this.limits);
    if (this.#isOffline) this.#replicas.keepCopy(copyName(this.#syncUrl, this.id, id));
    this.#replicas.identify({ id, name, kind, color });
    this.#events.emit("me", this.#me);
  }

  /** Handles a refusal after which the session continues. */
  #heed(notice: Notice): void {
    if (this.requests.refused(notice)) return;
    this.#events.emit("refused", refusalFrom(notice, null));
  }

  #watch({ doc, awareness }: Replica, state: Readonly<Record<string, unknown>>): void {
    this.snapshots.watch(doc);
    this.presence.begin(awareness, state);
    const announcements = (Object.keys(VIEWS) as View[]).map((view) => {
      const tell = (): void => {
        if (doc === this.doc) this.#tell(view); // a fresh one is told of when it is whole
      };
      return [VIEWS[view].root, tell] as const;
    });
    announceChanges(doc, {
      requests: () => doc === this.doc && this.requests.look(),
      ...Object.fromEntries(announcements),
      any: (transaction) => doc === this.doc && this.#events.emit("change", transaction),
    });
  }

  #tell<Name extends View>(view: Name): void {
    if (view === "claims") this.#claims.look();
    if (view === "claims" || view === "messages") this.#tools.look();
    this.#events.emit(view, VIEWS[view].read(this));
    if (view === "participants") this.#events.emit("people", this.people);
    if (view === "title") this.#events.emit("policy", this.policy);
  }

  #tellPresence(): void {
    this.#events.emit("presence", this.presence.all);
    this.#events.emit("people", this.people);
  }

  /** Emits all events: another document has replaced the shown one, and everything may be different. */
  #tellAnew(): void {
    const { doc } = this;
    this.presence.refresh();
    this.#events.emit("doc", doc);
    queueMicrotask(() => this.requests.look()); // what is asked again is written after this
    for (const view of Object.keys(VIEWS) as View[]) this.#tell(view);
  }

  get #facts(): Facts {
    return { status: this.status, saved: this.saved, synced: this.synced, copy: this.copy };
  }

  /** Emits the changes of the connection's state since the last call. */
  #announce(): void {
    const before = this.#told;
    this.#told = this.#facts;
    const { status, saved, synced, copy } = this.#told;
    if (status !== before.status) {
      const { error } = this;
      if (error !== null) this.requests.end(error);
      else if (status !== "online") this.requests.interrupted();
      this.#events.emit("status", status);
    }
    if (copy !== before.copy) this.#events.emit("copy", copy);
    if (synced !== before.synced) this.#events.emit("synced", synced);
    if (saved !== before.saved) this.#events.emit("saved", saved);
  }
}

/** Checks a session's id; a browser treats `.` and `..` as folders, however they are encoded in a URL. */
function checkedSession(id: string): string {
  if (checkedId(id, "The id of a session") === "." || id === "..")
    throw new InvalidValue(`\`${id}\` can't be the id of a session: no address can hold it.`);
  return id.toWellFormed();
}

function checkedRollup(milliseconds: number): number {
  if (milliseconds >= 0 && milliseconds <= 1000) return milliseconds;
  throw new InvalidValue(`\`rollupMs\` is a number of milliseconds up to 1000, not ${String(milliseconds)}.`);
}

function now(): string {
  return new Date().toISOString();
}
