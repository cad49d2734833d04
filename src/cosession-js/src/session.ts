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
import { Closed, Disconnected, InvalidValue } from "./errors.ts";
import { Events, type Off } from "./events.ts";
import { type Grant, includes, type Me } from "./grants.ts";
import { colorOf, guest, identify } from "./identity.ts";
import { freshId } from "./ids.ts";
import { checkedId, checkedIds, checkedObject, checkedText, type JsonObject } from "./json.ts";
import { checkName, checkRecord, checkValue, DEFAULT_LIMITS, type Limits, limitsFrom } from "./limits.ts";
import { partsFrom } from "./messages.ts";
import { type Copy, copyName } from "./offline.ts";
import type { Loss, Options, SendOptions, SessionEvents } from "./options.ts";
import { PresenceList } from "./presence.ts";
import { Queue } from "./queue.ts";
import type { Notice, Refusal } from "./refusal.ts";
import type { Replica } from "./replica.ts";
import { Replicas } from "./replicas.ts";
import { Selections } from "./selections.ts";
import { State } from "./state.ts";
import { type Tool, Tools } from "./tools.ts";
import { transact } from "./transact.ts";
import type { Status } from "./transport.ts";
import { VIEWS, type View } from "./views.ts";
import { waitFor } from "./waiting.ts";
import { Wishes } from "./wishes.ts";

interface Facts {
  readonly status: Status;
  readonly saved: boolean;
  readonly synced: boolean;
  readonly copy: Copy;
}

const NOT_ALLOWED = 4403;
const TOO_LARGE = 4413;

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
  readonly #losses = new Events<{ lost: Loss }>();
  readonly #claims = new Claims(this, this.snapshots, () => this.#replicas.current.fences.stored());
  readonly #tools = new Tools(this, this.#claims);
  readonly #replicas: Replicas;
  #me: Me;
  #closed = false;
  #told: Facts;
  readonly #isOffline: boolean;
  readonly #syncUrl: string;

  constructor(url: string, id: string, { user, token, offline = false }: Options = {}) {
    super();
    this.id = checkedSession(id);
    const credential = new Credential(token);
    const me = identify(user, credential.known, token !== undefined);
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
      refused: (loss) => {
        this.#events.emit("refused", Object.freeze(loss));
        this.#losses.emit("lost", loss);
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
    return this.#replicas.status;
  }

  /** The reason of the server's final refusal, when `status` is `refused`. */
  get refusal(): Refusal | null {
    return this.#replicas.refusal;
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
  on<Name extends keyof SessionEvents & string>(
    event: Name,
    listener: (value: SessionEvents[Name]) => void,
  ): Off {
    return this.#events.on(event, listener);
  }

  /** Resolves when this page has all that the server has; fails with `Refused` or `Closed`. */
  async whenSynced(): Promise<void> {
    await waitFor(this, ["synced"], () => this.synced || undefined);
  }

  /**
   * Resolves when every edit made here is committed to the server's storage; fails with `Closed`, or with `Refused`
   * when the server refused one of them. A request that the server declines is saved like any other edit.
   */
  async whenSaved(): Promise<void> {
    const onLoss = (listener: (loss: Loss) => void): Off => this.#losses.on("lost", listener);
    await waitFor(this, ["saved"], () => this.saved || undefined, onLoss);
  }

  /** Tries again at once, e.g. after a refusal with a new token. */
  reconnect({ token }: { token?: string } = {}): void {
    if (this.#closed) throw new Closed();
    this.#replicas.reconnect(token);
  }

  /** Leaves the session, and frees all that it holds. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#claims.end();
    this.#replicas.close();
    this.requests.end(new Closed());
    this.#events.clear();
    this.#losses.clear();
  }

  /** Leaves the session and removes this browser's copy of it, with the edits that were never saved. */
  async discard(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#claims.end();
    const discarded = this.#replicas.discard();
    this.requests.end(new Closed());
    this.#events.clear();
    this.#losses.clear();
    await discarded;
  }

  protected override checkOpen(): void {
    if (this.#closed) throw new Closed();
    const { refusal } = this;
    if (refusal !== null && this.status === "refused") throw new Disconnected(refusal);
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
    const { isFinal: _, request: __, ...told } = notice;
    const code = told.touched === "presence" ? TOO_LARGE : NOT_ALLOWED;
    this.#events.emit("refused", Object.freeze({ ...told, code, lost: [], isFinal: false }));
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
    const { refusal } = this;
    if (status !== before.status) {
      if (status === "refused" && refusal !== null) this.requests.end(new Disconnected(refusal));
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

function now(): string {
  return new Date().toISOString();
}
