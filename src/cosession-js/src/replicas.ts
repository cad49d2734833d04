/**
 * The session's replica of the document, and its replacement after refusals.
 *
 *     current one refused for its changes ─→ a fresh one connects, beside it
 *       fresh one synced ─→ it replaces the current one: texts written here that only the old one had are lost
 *       fresh one refused as well ─→ the session ends: texts written here without a fence are lost
 *
 * Lost texts are reported. A page that wrote nothing may be refused too: it offers changes that it received and that
 * the server lost in a crash, but only the client that wrote them may restore them. The page loses nothing, so nothing
 * is reported.
 *
 * Until the fresh replica is synced, the current one is read and written as before, and this browser's copy of it
 * stays: so nothing flickers, and a page that is closed meanwhile keeps everything. Lost changes are never sent again.
 */

import type { Address } from "./address.ts";
import type { Credential } from "./credential.ts";
import type { Participant } from "./identity.ts";
import { type Copy, OfflineCopy } from "./offline.ts";
import type { Refusal } from "./refusal.ts";
import { type Heard, Replica } from "./replica.ts";
import type { LinkStatus } from "./transport.ts";

/** The most refusals in a period: more mean that the application writes the same again and again. */
const MOST_REFUSALS = 8;
const REFUSALS_MS = 60_000;

export interface Changes extends Heard {
  /** Called when a replica is made: the first one (`before` is null), or a fresh one. */
  readonly made: (made: Replica, before: Replica | null) => void;
  /** Called when a fresh replica has replaced the current one. */
  readonly replaced: () => void;
  readonly refused: (refusal: Refusal) => void;
}

export class Replicas {
  current: Replica;
  readonly #changes: Changes;
  readonly #make: (before?: Replica) => Replica;
  #copyName: string | null;
  #copy: OfflineCopy | null = null;
  #fresh: Replica | null = null;
  #refusedAt: readonly number[] = [];
  #isLoading = false;
  #isOver = false;

  constructor(address: Address, credential: Credential, copyName: string | null, changes: Changes) {
    this.#changes = changes;
    const { granted, noticed, limits } = changes;
    const heard = { changed: () => this.#look(), granted, noticed, limits };
    this.#make = (before) => new Replica(address, credential, heard, before);
    this.#copyName = copyName;
    this.current = this.#make();
    this.#keepCopy();
    this.#isLoading = this.#copy !== null;
  }

  get status(): LinkStatus {
    return this.#last.transport.status;
  }

  get refusal(): Refusal | null {
    return this.#last.transport.refusal;
  }

  get synced(): boolean {
    return this.#fresh === null && this.current.transport.synced;
  }

  get saved(): boolean {
    return !this.#isLoading && this.status !== "refused" && this.current.saved;
  }

  get copy(): Copy {
    return this.#copyName === null ? "none" : (this.#copy?.status ?? "opening");
  }

  /** Keeps a copy in this browser from now on, if there is none yet. */
  keepCopy(name: string): void {
    if (this.#copyName !== null || this.status === "closed") return;
    this.#copyName = name;
    this.#keepCopy();
    const copy = this.#copy;
    this.#isLoading = true;
    this.#changes.changed();
    void copy?.loaded.then(() => {
      this.#isLoading = false;
      this.#changes.changed();
    });
  }

  /** Sets the participant of this page's presence. */
  identify(user: Participant): void {
    for (const { awareness } of new Set([this.current, this.#last])) {
      const state = awareness.getLocalState();
      if (state !== null) awareness.setLocalState({ ...state, user });
    }
  }

  /** Connects when the local copy is read: then only the missing changes have to be sent. */
  async open(): Promise<void> {
    await this.#copy?.loaded;
    if (this.status === "closed") return;
    this.#isLoading = false;
    this.#changes.changed();
    this.current.transport.connect();
  }

  reconnect(token: string | undefined): void {
    this.#isOver = false;
    if (this.#last.transport.isUnreadable) {
      this.#fresh?.close();
      this.#begin();
    }
    this.#last.transport.reconnect(token === undefined ? {} : { token });
  }

  close(): void {
    this.#isOver = true;
    this.#fresh?.close();
    this.#fresh = null;
    this.#copy?.close();
    this.current.close();
  }

  async discard(): Promise<void> {
    const copy = this.#copy;
    this.close();
    await copy?.discard();
  }

  get #last(): Replica {
    return this.#fresh ?? this.current;
  }

  #look(): void {
    if (!this.#isOver) {
      const { refusedWriting, transport } = this.current;
      const refusal = refusedWriting ?? (this.#fresh === null ? null : transport.refusal);
      if (refusal !== null) this.#recover(refusal);
      else if (this.status === "refused" && this.current.isLost) this.#end(transport.refusal as Refusal);
    }
    this.#changes.changed();
  }

  /** Ends the session; texts that were written here without a fence are reported as lost. */
  #end(refusal: Refusal): void {
    this.#isOver = true;
    this.#tell({ ...refusal, lost: this.current.unsaved(), final: true }, this.current);
  }

  /** Makes a fresh replica, beside the current one. */
  #begin(): void {
    this.#fresh = this.#make(this.current);
    this.#changes.made(this.#fresh, this.current);
  }

  #recover(refusal: Refusal): void {
    const fresh = this.#fresh;
    if (fresh?.transport.synced) this.#replace(fresh, refusal);
    else if (fresh === null && this.#refusesSeldom()) {
      this.#begin();
      this.#last.transport.connect();
    } else if (this.status === "refused") this.#end(refusal);
  }

  #tell(refusal: Refusal, replica: Replica, fresh?: Replica): void {
    if (replica.saved && refusal.lost.length === 0) return;
    this.#changes.refused({ ...refusal, update: replica.lostUpdate(fresh?.doc) });
  }

  #refusesSeldom(): boolean {
    const now = Date.now();
    this.#refusedAt = [...this.#refusedAt.filter((at) => now - at < REFUSALS_MS), now];
    return this.#refusedAt.length <= MOST_REFUSALS;
  }

  #replace(fresh: Replica, refusal: Refusal): void {
    const before = this.current;
    const lost = before.lost(fresh.doc);
    fresh.awareness.setLocalState(before.awareness.getLocalState()); // it may have changed meanwhile
    this.current = fresh;
    this.#fresh = null;
    void this.#renewCopy();
    this.#changes.replaced();
    before.askAgain(fresh);
    this.#tell({ ...refusal, lost, final: false }, before, fresh);
    before.close();
  }

  /** Removes the refused edit from this browser's copy, and starts a new copy. */
  async #renewCopy(): Promise<void> {
    const copy = this.#copy;
    const { current } = this;
    if (copy === null) return;
    this.#copy = null;
    await copy.clear();
    if (this.#isOver || current !== this.current) return;
    this.#keepCopy();
    this.#changes.changed();
  }

  #keepCopy(): void {
    if (this.#copyName === null) return;
    this.#copy = new OfflineCopy(this.#copyName, this.current.doc, () => this.#changes.changed());
  }
}
