/**
 * A session in a page: one document, its connection, and views of it.
 *
 * Everything read here is an immutable snapshot which stays the same object until it changes; everything written is a
 * local edit at once, and travels when there is a connection. The page never seeds a document, and of `meta` it writes
 * the title only.
 */

import { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import { announceChanges } from "./announcements.ts";
import { Events, type Off } from "./events.ts";
import { Fences } from "./fences.ts";
import { identify, type Participant } from "./identity.ts";
import { freshId } from "./ids.ts";
import type { Json, JsonObject } from "./json.ts";
import { type Message, Messages, partsFrom } from "./messages.ts";
import { copyName, isOfflineAvailable, OfflineCopy } from "./offline.ts";
import { Closed, type Options, Refused, type SendOptions, type SessionEvents } from "./options.ts";
import { PresenceList } from "./presence.ts";
import { ask } from "./requests.ts";
import { AGENT, type Agent, byId, byStart, Directory, isActive, RUN, type Run } from "./runs.ts";
import { Selections } from "./selections.ts";
import { Snapshots } from "./snapshots.ts";
import { State } from "./state.ts";
import { type Refusal, type Status, syncUrl, Transport } from "./transport.ts";

export class Session {
  readonly id: string;
  readonly me: Participant;
  readonly doc = new Y.Doc();
  readonly state: State;
  readonly selections: Selections;
  readonly presence: PresenceList;

  readonly #events = new Events<SessionEvents>();
  readonly #snapshots = new Snapshots(this.doc);
  readonly #meta = this.doc.getMap<Json>("meta");
  readonly #messages = new Messages(this.doc, this.#snapshots);
  readonly #runs = new Directory<Run>(this.doc.getMap("runs"), this.#snapshots, RUN, byStart);
  readonly #agents = new Directory<Agent>(this.doc.getMap("agents"), this.#snapshots, AGENT, byId);
  readonly #participants = this.doc.getMap<unknown>("participants");
  readonly #requests = this.doc.getMap<Json>("requests");
  readonly #fences = new Fences(() => this.#announce());
  readonly #awareness = new Awareness(this.doc);
  readonly #transport: Transport;
  readonly #copy: OfflineCopy | null;
  #loading: boolean;
  #closed = false;
  #told: { status: Status; saved: boolean; synced: boolean };
  #active: { of: readonly Run[]; list: readonly Run[] } = { of: [], list: Object.freeze([]) };

  constructor(url: string, id: string, { user, token, offline = false }: Options = {}) {
    this.id = id;
    this.me = identify(user, token);
    const { doc, me } = this;
    const on = this.on.bind(this);
    const checkOpen = this.#checkOpen.bind(this);
    this.state = new State(
      doc.getMap("state"),
      this.#snapshots,
      (listener) => on("state", listener),
      checkOpen,
    );
    this.selections = new Selections(doc.getMap("selections"), this.#snapshots, me.id, checkOpen);
    this.presence = new PresenceList(
      this.#awareness,
      me,
      () => this.#events.emit("presence", this.presence.all),
      checkOpen,
    );
    const parameters = {
      user: me.id,
      name: me.name,
      kind: me.kind,
      ...(token === undefined ? {} : { token }),
    };
    const address = { url, session: id, parameters };
    this.#transport = new Transport(address, doc, this.#awareness, this.#fences, () => this.#announce());
    this.#copy =
      offline && isOfflineAvailable() ? new OfflineCopy(copyName(syncUrl(url), id, me.id), doc) : null;
    this.#loading = this.#copy !== null;
    this.#told = { status: this.status, saved: this.saved, synced: this.synced };
    this.#watchDocument();
    void this.#open();
  }

  get status(): Status {
    return this.#transport.status;
  }

  /** Why the server closed this page out for good, when `status` is `refused`. */
  get refusal(): Refusal | null {
    return this.#transport.refusal;
  }

  /** Whether this page has all that the server has. */
  get synced(): boolean {
    return this.#transport.synced;
  }

  /** Whether every edit made here is committed to the server's storage: what "Saved" may say. */
  get saved(): boolean {
    return !this.#loading && this.#fences.saved;
  }

  get title(): string {
    const title = this.#meta.get("title");
    return typeof title === "string" ? title : "";
  }

  get messages(): readonly Message[] {
    return this.#messages.list();
  }

  /** Every run, oldest first. */
  get runs(): readonly Run[] {
    return this.#runs.list();
  }

  /** The runs that are not over. */
  get activeRuns(): readonly Run[] {
    const runs = this.runs;
    if (runs !== this.#active.of) this.#active = { of: runs, list: Object.freeze(runs.filter(isActive)) };
    return this.#active.list;
  }

  get agents(): readonly Agent[] {
    return this.#agents.list();
  }

  /** Who belongs to the session, by id, as the server keeps it: also those who aren't connected now. */
  get participants(): Readonly<Record<string, Json>> {
    return this.#snapshots.of(this.#participants) as Readonly<Record<string, Json>>;
  }

  /** The awareness protocol itself, for editors that show cursors. */
  get awareness(): Awareness {
    return this.#awareness;
  }

  setTitle(title: string): void {
    this.#checkOpen();
    if (title !== this.title) this.#meta.set("title", title.toWellFormed());
  }

  /** Adds a message and returns its id. */
  send(content: string | readonly JsonObject[], options: SendOptions = {}): string {
    const id = options.id ?? freshId("msg");
    const metadata = {
      ...options.metadata,
      ...(options.parent === undefined ? {} : { parent: options.parent }),
      author: this.me.id,
      created_at: now(),
      status: "complete",
    };
    this.#edit(() =>
      this.#messages.append({ id, role: options.role ?? "user", parts: partsFrom(content), metadata }),
    );
    return id;
  }

  /** Changes a message's text, as little as possible, so that concurrent edits merge. */
  edit(message: string, text: string): void {
    this.#edit(() => this.#messages.edit(message, text, now()));
  }

  /** Deletes what a message says; an empty message marked `deleted` stays. */
  remove(message: string): void {
    this.#edit(() => this.#messages.remove(message, now()));
  }

  /** Asks for a run to stop. The server then writes the run's `cancel`. */
  cancel(run: string, reason = ""): void {
    this.#checkOpen();
    ask(this.#requests, "cancel", [run], this.me.id, { reason });
  }

  /** Tells a run something while it works, and returns the steer's id. The server then adds it to the run's `steers`. */
  steer(run: string, text: string): string {
    this.#checkOpen();
    const id = freshId("steer");
    ask(this.#requests, "steer", [run, id], this.me.id, { text });
    return id;
  }

  /** A text that is written together. */
  text(name: string): Y.Text {
    return this.doc.getText(`text:${name}`);
  }

  /** A rich text that is written together; Tiptap and others bind to it. */
  xml(name: string): Y.XmlFragment {
    return this.doc.getXmlFragment(`xml:${name}`);
  }

  /** Calls `listener` at each `event`, until the returned function is called. */
  on<Name extends keyof SessionEvents & string>(
    event: Name,
    listener: (value: SessionEvents[Name]) => void,
  ): Off {
    return this.#events.on(event, listener);
  }

  /** Resolves when this page has all that the server has; fails with `Refused` or `Closed`. */
  whenSynced(): Promise<void> {
    return this.#when("synced", () => this.synced);
  }

  /** Resolves when every edit made here is committed to the server's storage; fails with `Refused` or `Closed`. */
  whenSaved(): Promise<void> {
    return this.#when("saved", () => this.saved);
  }

  /** Tries again at once, e.g. after a refusal with a new token. */
  reconnect({ token }: { token?: string } = {}): void {
    this.#checkOpen();
    this.#transport.reconnect(token === undefined ? {} : { token });
  }

  /** Leaves the session, and frees all that it holds. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#transport.close();
    this.#events.clear();
    this.#awareness.destroy();
    void this.#copy?.close();
    this.doc.destroy();
    // An editor may still write into the document: that is never saved.
    this.doc.on("update", () => this.#fences.edited());
  }

  /**
   * Leaves the session and removes this browser's copy of it, with the edits that were never saved. The way on after a
   * refused edit (4403) with `offline`: the copy would bring the same edit, and the same refusal, at every visit.
   */
  async discard(): Promise<void> {
    const copy = this.#copy;
    this.close();
    await copy?.discard();
  }

  #edit(change: () => void): void {
    this.#checkOpen();
    this.doc.transact(change, "cosession");
  }

  #checkOpen(): void {
    if (this.#closed) throw new Closed();
  }

  /** Connects when the local copy is read: then only what each side lacks has to travel. */
  async #open(): Promise<void> {
    await this.#copy?.loaded;
    if (this.#closed) return;
    this.#loading = false;
    this.#announce();
    this.#transport.connect();
  }

  #watchDocument(): void {
    this.doc.on("update", (_update: Uint8Array, origin: unknown) => {
      // Also what is read from this browser's copy: it may never have been sent, so it is as unsaved as a fresh edit.
      if (!this.#transport.isOrigin(origin)) this.#fences.edited();
    });
    const tell = this.#events.emit.bind(this.#events);
    announceChanges(this.doc, {
      messages: () => tell("messages", this.messages),
      runs: () => tell("runs", this.runs),
      agents: () => tell("agents", this.agents),
      participants: () => tell("participants", this.participants),
      state: () => tell("state", this.state.toJSON()),
      selections: () => tell("selections", this.selections.toJSON()),
      meta: () => tell("title", this.title),
      any: (transaction) => tell("change", transaction),
    });
  }

  /** Tells what of the connection's facts has changed since it was told last. */
  #announce(): void {
    const before = this.#told;
    const { status, saved, synced } = this;
    this.#told = { status, saved, synced };
    if (status !== before.status) this.#events.emit("status", status);
    if (synced !== before.synced) this.#events.emit("synced", synced);
    if (saved !== before.saved) this.#events.emit("saved", saved);
  }

  #when(event: "saved" | "synced", isSo: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const offs: Off[] = [];
      const look = (): void => {
        const { refusal } = this;
        if (!isSo() && refusal === null && !this.#closed) return;
        for (const off of offs) off();
        if (isSo()) resolve();
        else reject(refusal ? new Refused(refusal) : new Closed());
      };
      offs.push(this.on(event, look), this.on("status", look));
      look();
    });
  }
}

function now(): string {
  return new Date().toISOString();
}
