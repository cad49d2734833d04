/**
 * The session's copy of the document, through refusals.
 *
 *     current refused for what it has ─→ a fresh one connects, beside it
 *       fresh synced ─→ it takes the place of the current one; what was written here and only that one had is told as lost
 *       fresh refused as well ─→ it is over: what was written here, and no fence had vouched for, is told as lost
 *
 * Also who wrote nothing may be refused: a page that has seen what a crash took from the server offers it, and only who
 * wrote it may bring it back. It loses nothing, so nothing is told.
 *
 * Until the fresh one is here, the current one is read and written as before, and this browser's copy of it stays: so
 * nothing flickers, and a page that is closed meanwhile finds everything again. What is lost is never sent again.
 */

import type { Address } from "./address.ts";
import type { Credential } from "./credential.ts";
import type { Participant } from "./identity.ts";
import { type Copy, OfflineCopy } from "./offline.ts";
import type { Loss } from "./options.ts";
import type { Refusal } from "./refusal.ts";
import { type Heard, Replica } from "./replica.ts";
import type { Status } from "./transport.ts";

/** More refusals in this time would be an application that writes the same again and again. */
const MOST_REFUSALS = 8;
const REFUSALS_MS = 60_000;

export interface Changes extends Heard {
  /** A replica is there to be watched, and to speak by: the first one (`before` is null), or a fresh one. */
  readonly made: (made: Replica, before: Replica | null) => void;
  /** A fresh replica has taken the place of the current one. */
  readonly replaced: () => void;
  readonly refused: (loss: Loss) => void;
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

  get status(): Status {
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

  /** Keeps a copy in this browser from now on, where there is none yet. */
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

  /** This page's presence is this participant's. */
  identify(user: Participant): void {
    for (const { awareness } of new Set([this.current, this.#last])) {
      const state = awareness.getLocalState();
      if (state !== null) awareness.setLocalState({ ...state, user });
    }
  }

  /** Connects when the local copy is read: then only what each side lacks has to travel. */
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

  /** It is over: what was written here, and no fence had vouched for, is told. */
  #end(refusal: Refusal): void {
    this.#isOver = true;
    this.#tell({ ...refusal, lost: this.current.unsaved(), isFinal: true }, this.current);
  }

  /** Begins with a fresh replica, beside the current one. */
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

  #tell(loss: Loss, { saved }: Replica): void {
    if (!saved || loss.lost.length > 0) this.#changes.refused(loss);
  }

  #refusesSeldom(): boolean {
    const now = Date.now();
    this.#refusedAt = [...this.#refusedAt.filter((at) => now - at < REFUSALS_MS), now];
    return this.#refusedAt.length <= MOST_REFUSALS;
  }

  #replace(fresh: Replica, refusal: Refusal): void {
    const before = this.current;
    const lost = before.lost(fresh.doc);
    fresh.awareness.setLocalState(before.awareness.getLocalState()); // said meanwhile
    this.current = fresh;
    this.#fresh = null;
    void this.#renewCopy();
    this.#changes.replaced();
    before.askAgain(fresh);
    this.#tell({ ...refusal, lost, isFinal: false }, before);
    before.close();
  }

  /** Takes out of this browser's copy what would bring the refused edit back, and begins it anew. */
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
