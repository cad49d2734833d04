/**
 * A replica of the session's document, with its presence, its connection to the server, and its saved state.
 *
 * A session has one at a time. A refused edit can't be undone (others would lack the edits that follow it), so the
 * whole replica is then replaced by a fresh one.
 */

import * as Y from "yjs";
import type { Address } from "./address.ts";
import { Asked } from "./asked.ts";
import { clocksOf, hasChanged } from "./backlog.ts";
import type { Credential } from "./credential.ts";
import { SessionAwareness, SessionDoc } from "./document.ts";
import { Fences } from "./fences.ts";
import type { Grant } from "./grants.ts";
import type { Json } from "./json.ts";
import type { Limits } from "./limits.ts";
import { lostTexts, missingFrom, missingIn } from "./lost.ts";
import type { Notice, Refusal } from "./refusal.ts";
import { Transport } from "./transport.ts";
import { Unsaved } from "./unsaved.ts";

/** Refusals of edits, after which a fresh replica is made: malformed, not allowed, client id taken, too large. */
const OF_WRITING: ReadonlySet<number> = new Set([4400, 4403, 4409, 4413]);

/** The session is gone: it was deleted, or the server can't open it any more. */
const GONE: ReadonlySet<number> = new Set([4410, 4422]);

export interface Heard {
  readonly changed: () => void;
  readonly granted: (grant: Grant) => void;
  readonly noticed: (notice: Notice) => void;
  readonly limits: () => Limits;
}

export class Replica {
  readonly doc = new SessionDoc();
  readonly awareness = new SessionAwareness(this.doc);
  readonly fences: Fences;
  readonly #asked: Asked;
  readonly transport: Transport;
  readonly #unsaved: Unsaved;

  /** `before` is the replica that this one is to replace. */
  constructor(address: Address, credential: Credential, heard: Heard, before?: Replica) {
    this.#unsaved = new Unsaved(this.doc, before?.writers);
    this.fences = new Fences(heard.changed, () => this.transport.plan(), this.#unsaved);
    this.#asked = new Asked(this.doc, this.fences);
    this.transport = new Transport(address, credential, {
      doc: this.doc,
      awareness: this.awareness,
      fences: this.fences,
      unsaved: this.#unsaved,
      ...heard,
    });
    this.doc.watch((transaction) => {
      // Changes read from this browser's copy count too: they may never have been sent, so they are unsaved as well.
      if (this.transport.isOrigin(transaction.origin) || !hasChanged(transaction)) return;
      this.#unsaved.brought(transaction);
      this.fences.edited();
    });
  }

  /** Whether a fence has vouched for every transaction, also for one that no event reported. */
  get saved(): boolean {
    return this.doc.isSettled && this.fences.saved && this.#unsaved.isOwnSaved;
  }

  /** The clients with changes here that the server may lack. */
  get writers(): Iterable<number> {
    return this.#unsaved.writers;
  }

  /** The refusal of a change in this replica, if any: one written here, or received and since lost by the server. */
  get refusedWriting(): Refusal | null {
    const { refusal, hasAnswered, isUnreadable } = this.transport;
    return refusal !== null && hasAnswered && !isUnreadable && OF_WRITING.has(refusal.close ?? 0)
      ? refusal
      : null;
  }

  /** Whether unsaved changes are lost: the session is gone, or this replica can't be used any more. */
  get isLost(): boolean {
    const { refusal, isUnreadable } = this.transport;
    return isUnreadable || (refusal !== null && GONE.has(refusal.close ?? 0));
  }

  /** Returns the texts that were written here and are not in `fresh`, the server's document. */
  lost(fresh: Y.Doc): string[] {
    return lostTexts(this.doc, missingIn(fresh, this.#unsaved.clocks), this.writers, fresh);
  }

  /**
   * Returns the writes of this page that the server lacks, as an update; null when they can't be encoded.
   *
   * @param fresh - the server's document; undefined when it isn't known
   */
  lostUpdate(fresh?: Y.Doc): Uint8Array | null {
    const known = clocksOf(fresh ?? this.doc);
    for (const writer of this.writers)
      known.set(writer, Math.min(known.get(writer) ?? 0, this.#unsaved.clocks.get(writer) ?? 0));
    try {
      return Y.encodeStateAsUpdate(this.doc, Y.encodeStateVector(known));
    } catch {
      return null; // the server refused it because it can't be encoded
    }
  }

  /** Repeats in `fresh`, which replaces this replica, the requests that the server had answered here and has lost. */
  askAgain(fresh: Replica): void {
    const again = this.#asked.taken(fresh.doc);
    fresh.doc.transact(() => {
      for (const [key, value] of again) fresh.doc.getMap<Json>("requests").set(key, value);
    }, "cosession");
  }

  /** Returns the texts that were written here, and that no fence has vouched for. */
  unsaved(): string[] {
    return lostTexts(this.doc, missingFrom(this.#unsaved.clocks), this.writers);
  }

  close(): void {
    this.transport.close();
    this.awareness.destroy();
    this.doc.destroy(); // an editor may still write into it; such edits are never saved
  }
}
