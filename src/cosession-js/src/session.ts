/// <reference lib="esnext.disposable" preserve="true" />

/**
 * A session in a page: one document, its connection, and groups of what is in it.
 *
 * Every value read here is an immutable snapshot which stays the same object until it changes; every write is a local
 * edit at once, and is sent when there is a connection. The page never seeds a document, and of `meta` it writes only
 * the title. The groups hold no document: after a refusal there is another one, and they continue with that.
 */

import type { Awareness } from "y-protocols/awareness";
import type * as Y from "yjs";
import { checkedSession, parametersOf, syncUrl } from "./address.ts";
import { announceChanges } from "./announcements.ts";
import { Approvals } from "./approvals.ts";
import { type Claim, type ClaimOptions, Claims } from "./claims.ts";
import { Connections } from "./connections.ts";
import { type Context, contextOf } from "./context.ts";
import { Counters } from "./counters.ts";
import { Credential } from "./credential.ts";
import { Edits } from "./edits.ts";
import { Disconnected } from "./errors.ts";
import { Events, type Off } from "./events.ts";
import { checkAllowed, type Grant, type Identity, includes } from "./grants.ts";
import { idOf, type Target } from "./group.ts";
import { colorOf, identify } from "./identity.ts";
import { freshId } from "./ids.ts";
import { checkedId, checkedIds, checkedObject, checkedText } from "./json.ts";
import { checkName, checkRecord, checkValue, DEFAULT_LIMITS, type Limits, limitsFrom } from "./limits.ts";
import { type Message, Messages, partsFrom } from "./messages.ts";
import { type Copy, copyName } from "./offline.ts";
import type { ConnectOptions, Me, SendOptions, SessionEvents, Status } from "./options.ts";
import type { Part } from "./parts.ts";
import { People } from "./people.ts";
import { type Policy, PolicyReader } from "./policy.ts";
import { PresenceGroup } from "./presence.ts";
import { Queue } from "./queue.ts";
import { type Notice, type Refusal, refusalFrom } from "./refusal.ts";
import type { AnyMetadata, AnyPresence, AnyState } from "./register.ts";
import type { Replica } from "./replica.ts";
import { Replicas } from "./replicas.ts";
import { type Request, Requests } from "./requests.ts";
import { Agents, Runs } from "./runs.ts";
import { Selections } from "./selections.ts";
import { Snapshots } from "./snapshots.ts";
import { State } from "./state.ts";
import { SharedText, SharedXml } from "./text.ts";
import { now } from "./time.ts";
import { Tools } from "./tools.ts";
import { transact } from "./transact.ts";
import { Views } from "./views.ts";
import { type WaitOptions, waitFor } from "./waiting.ts";
import { iterate } from "./watching.ts";

interface Facts {
  readonly status: Status;
  readonly saved: boolean;
  readonly synced: boolean;
  readonly copy: Copy;
}

/** The events whose values all count; of the others, which are snapshots, only the latest does. */
const EACH: ReadonlySet<string> = new Set(["refused", "edit", "change"]);

export class Session<Shape = AnyState, Fields = AnyPresence, Metadata = AnyMetadata>
  implements AsyncDisposable
{
  readonly id: string;
  readonly messages: Messages<Metadata>;
  readonly runs: Runs;
  readonly agents: Agents;
  readonly approvals: Approvals;
  readonly queue: Queue;
  readonly claims: Claims;
  readonly state: State<Shape>;
  readonly counters: Counters;
  readonly selections: Selections;
  readonly presence: PresenceGroup<Fields>;
  readonly people: People;
  readonly tools: Tools;

  readonly #context: Context;
  readonly #connections: Connections;
  readonly #policy: PolicyReader;
  readonly #requests: Requests;
  readonly #snapshots = new Snapshots();
  readonly #events = new Events<SessionEvents<Shape, Fields, Metadata>>();
  readonly #refusals = new Events<{ refused: Refusal }>();
  readonly #edits: Edits;
  readonly #views: Views<Shape, Fields, Metadata>;
  readonly #replicas: Replicas;
  readonly #isOffline: boolean;
  readonly #syncUrl: string;
  #identity: Identity;
  #limits: Limits = DEFAULT_LIMITS;
  #me: Me | null = null;
  #closed = false;
  #error: Disconnected | null = null;
  /** The refusal that `#error` tells. */
  #refusal: Refusal | null = null;
  #lost: readonly string[] = [];
  #told: Facts;
  /** When the connection was lost, by `performance.now()`; null with a connection. */
  #awaySince: number | null = null;

  constructor(url: string, id: string, options: ConnectOptions = {}) {
    this.id = checkedSession(id);
    const { token, offline = false, rollupMs = 0 } = options;
    const credential = new Credential(token);
    const known = identify(options, credential.known, token !== undefined);
    this.#isOffline = offline;
    this.#syncUrl = syncUrl(url);
    this.#identity = Object.freeze({ ...known, capabilities: null, expiresAt: null });
    this.#context = contextOf({
      doc: () => this.doc,
      awareness: () => this.awareness,
      identity: () => this.#identity,
      limits: () => this.#limits,
      snapshots: () => this.#snapshots,
      requests: () => this.#requests,
      error: () => this.error,
      checkOpen: () => this.#checkOpen.bind(this),
      refuse: () => (refusal) => this.#events.emit("refused", refusal),
      on: () => (event, listener) => this.#events.on(event, listener as never),
    });
    const context = this.#context;
    this.#requests = new Requests(context);
    this.#connections = new Connections(context, () => this.#views.tellPresence());
    this.people = new People(context, this.#connections);
    this.presence = new PresenceGroup(this.#connections, this.people);
    this.messages = new Messages(context, (participant) => this.people.get(participant).name);
    this.runs = new Runs(context, () => this.#connections.here);
    this.agents = new Agents(context);
    this.approvals = new Approvals(context);
    this.queue = new Queue(context);
    this.claims = new Claims(
      context,
      () => this.#replicas.current.fences.stored(),
      () => (this.#awaySince === null ? 0 : (performance.now() - this.#awaySince) / 1000),
    );
    this.state = new State(context);
    this.counters = new Counters(context);
    this.selections = new Selections(context);
    this.#policy = new PolicyReader(context);
    this.tools = new Tools(context, this.claims, this.#connections, this.messages);
    this.#edits = new Edits(context, this.#connections, this.messages);
    this.#views = new Views(this.#events, this, (view) => {
      if (view === "claims") this.claims.look();
      if (view === "claims" || view === "messages") this.tools.look();
    });
    const parameters = parametersOf(known, credential.known, rollupMs);
    const copy = offline && known.id !== "" ? copyName(this.#syncUrl, this.id, known.id) : null;
    const state = known.id === "" ? {} : { user: known };
    this.#replicas = new Replicas({ url, session: this.id, parameters }, credential, copy, {
      changed: () => this.#announce(),
      granted: (grant) => this.#become(grant),
      noticed: (notice) => this.#heed(notice),
      limits: () => this.#limits,
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

  /** This page's person: as the server verified it, or, until then, as this page requested. */
  get me(): Me {
    const [identity, person] = [this.#identity, this.people.get(this.#identity.id)];
    const me = { ...person, ...identity };
    const before = this.#me;
    const isSame =
      before !== null && (Object.keys(me) as (keyof Me)[]).every((key) => before[key] === me[key]);
    if (!isSame) this.#me = Object.freeze(me);
    return this.#me as Me;
  }

  /**
   * Returns whether this page has a capability: `prompt`, `cancel-any`, `state:trip/hotel`, `text:notes`. True until
   * the server has sent them; the server decides in any case.
   */
  may(capability: string): boolean {
    const { capabilities } = this.#identity;
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

  /** The server's limits; the defaults, until it has sent them. */
  get limits(): Limits {
    return this.#limits;
  }

  /** The session's agents, and the handling of a prompt that arrives while an agent works. */
  get policy(): Policy {
    return this.#policy.current;
  }

  get title(): string {
    const title = this.doc.getMap("meta").get("title");
    return typeof title === "string" ? title : "";
  }

  setTitle(title: string): void {
    this.#checkOpen();
    const written = checkedText(title, "The title");
    checkRecord(written, this.#limits, "The title");
    checkValue(written, this.#limits, "The title");
    checkAllowed(this.#identity, "The title", "title");
    if (written !== this.title) transact(this.doc, () => this.doc.getMap("meta").set("title", written));
  }

  /**
   * Adds a message of this page's participant, and returns it.
   *
   * @throws InvalidValue when it can't be a message
   * @throws NotAllowed when the capability `prompt` is missing
   * @throws Conflict when another message has the id
   */
  send(content: string | readonly Part[], options: SendOptions<Metadata> = {}): Message<Metadata> {
    const to = checkedIds(options.to ?? [], "The agents that are asked");
    this.#checkOpen();
    if ((options.role ?? "user") === "user") checkAllowed(this.#identity, "A message", "prompt");
    const { id: author } = this.#identity;
    return this.messages.append({
      id: options.id ?? freshId("msg"),
      isNew: options.id === undefined,
      role: options.role ?? "user",
      parts: partsFrom(content),
      metadata: checkedObject(options.metadata ?? {}, "The metadata of a message"),
      own: {
        ...(options.parent === undefined ? {} : { parent: options.parent }),
        ...(to.length === 0 ? {} : { to }),
        ...(author === "" ? {} : { author }),
        created_at: now(),
        status: "complete",
      },
    });
  }

  /**
   * Sends a text to a run while it works. The server adds it to the run's `steers`, each id once: with a given `id` the
   * call can be repeated without a duplicate. The request has that id.
   *
   * This and the other requests throw `NotAllowed` when the granted capabilities don't include it; otherwise the server
   * decides, and the request's `outcome()` resolves.
   */
  steer(target: Target, text: string, { id = freshId("steer") }: { id?: string } = {}): Request {
    const run = idOf(target, "The run");
    return this.#requests.ask("steer", [run, id], { text: checkedText(text, "The text of a steer") }, id);
  }

  /** Requests that a run stops, with the work that it has delegated, or that a prompt is not answered at all. */
  cancel(target: Target, { reason = "" }: { reason?: string } = {}): Request {
    const run = idOf(target, "The run or prompt");
    return this.#requests.ask("cancel", [run], { reason: checkedText(reason, "The reason") }, run);
  }

  /**
   * Requests a claim, which one page at a time holds, and holds it until this page closes or releases it. The same page
   * may claim again, to hold it longer.
   *
   * @throws ClaimHeld when another page holds it
   */
  async claim(key: string, options: ClaimOptions = {}): Promise<Claim> {
    return this.claims.take(key, options);
  }

  /** Makes all changes in `work` one update: others see all of them or none. */
  transact(work: () => void): void {
    this.#checkOpen();
    transact(this.doc, work);
  }

  /** Returns a shared text. */
  text(name: string): SharedText {
    const root = `text:${this.#named(name)}`;
    return new SharedText(this.#context, () => this.doc.getText(root));
  }

  /** Returns a shared rich text; Tiptap and other editors bind to its `y`. */
  xml(name: string): SharedXml {
    const root = `xml:${this.#named(name)}`;
    return new SharedXml(() => this.doc.getXmlFragment(root));
  }

  /** Calls `listener` at each `event`, until the returned function is called. */
  on<Name extends keyof SessionEvents>(
    event: Name,
    listener: (value: SessionEvents<Shape, Fields, Metadata>[Name]) => void,
  ): Off {
    if (event === "edit") this.#edits.begin();
    return this.#events.on(event, listener);
  }

  /**
   * Iterates over the values of an event as they come. A slow reader gets the latest snapshot; of refusals, edits and changes 1024 wait.
   * The iteration ends with `close()`, and throws `Disconnected` when the server ends the session.
   */
  watch<Name extends keyof SessionEvents>(
    event: Name,
  ): AsyncIterable<SessionEvents<Shape, Fields, Metadata>[Name]> {
    return iterate<SessionEvents<Shape, Fields, Metadata>[Name]>({
      merge: EACH.has(event) ? null : (_, next) => next,
      session: this.#context,
      subscribe: (next) => this.on(event, next),
    });
  }

  /** Resolves when this page has all that the server has; rejects with `Disconnected` or `TimedOut`. */
  async waitSynced(options: WaitOptions = {}): Promise<void> {
    const what = "The first sync";
    await waitFor(this.#context, ["synced"], () => this.synced || undefined, { ...options, what });
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
    await waitFor(this.#context, ["saved"], () => this.saved || undefined, { ...options, onRefused, what });
  }

  /** Resolves when the session is closed, with the reason. */
  waitClosed(): Promise<Disconnected> {
    return waitFor(this.#context, [], () => this.error ?? undefined);
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

  #checkOpen(): void {
    const { error } = this;
    if (error !== null) throw error;
  }

  #begin(): Disconnected {
    this.#closed = true;
    this.#error = new Disconnected(null);
    this.claims.end();
    return this.#error;
  }

  #end(error: Disconnected): void {
    this.#requests.end(error);
    this.#events.clear();
    this.#refusals.clear();
  }

  #named(name: string): string {
    const checked = checkedId(name, "The name of a text");
    checkName(checked, this.#limits, "The name of a text");
    return checked;
  }

  /** Applies the server's grant. */
  #become({ id, name, kind, capabilities, expires_at: expires, limits }: Grant): void {
    const color = this.#identity.id === "" ? colorOf(id) : this.#identity.color;
    const expiresAt = expires === null ? null : new Date(expires * 1000).toISOString();
    this.#identity = Object.freeze({ id, name, kind, color, capabilities, expiresAt });
    this.#limits = limitsFrom(limits, this.#limits);
    if (this.#isOffline) this.#replicas.keepCopy(copyName(this.#syncUrl, this.id, id));
    this.#replicas.identify({ id, name, kind, color });
    this.#views.tell("me");
  }

  /** Handles a refusal after which the session continues. */
  #heed(notice: Notice): void {
    if (!this.#requests.refused(notice)) this.#events.emit("refused", refusalFrom(notice, null));
  }

  #watch({ doc, awareness }: Replica, state: Readonly<Record<string, unknown>>): void {
    this.#snapshots.watch(doc);
    this.#connections.begin(awareness, state);
    const isShown = (): boolean => doc === this.doc; // a fresh one is told of when it is whole
    announceChanges(doc, {
      requests: () => isShown() && this.#requests.look(),
      ...this.#views.announcements(isShown),
      any: (transaction) => {
        if (!isShown()) return;
        for (const edit of this.#edits.look(transaction)) this.#events.emit("edit", edit);
        this.#events.emit("change", transaction);
      },
    });
  }

  /** Emits all events: another document has replaced the shown one, and everything may be different. */
  #tellAnew(): void {
    const { doc } = this;
    this.#connections.refresh();
    this.#events.emit("doc", doc);
    queueMicrotask(() => this.#requests.look()); // what is asked again is written after this
    this.#edits.move();
    this.#views.tellAll();
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
      if (status === "online") this.#awaySince = null;
      else this.#awaySince ??= performance.now();
      if (error !== null) this.#requests.end(error);
      else if (status !== "online") this.#requests.interrupted();
      this.#events.emit("status", status);
    }
    if (copy !== before.copy) this.#events.emit("copy", copy);
    if (synced !== before.synced) this.#events.emit("synced", synced);
    if (saved !== before.saved) this.#events.emit("saved", saved);
  }
}
