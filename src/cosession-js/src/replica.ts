/**
 * One copy of the session's document, and its tie to the server: presence, connection, and what is saved.
 *
 * A session has one at a time. A refused edit can't be taken back (others would miss what comes after it), so the whole
 * copy is then given up for a fresh one.
 */

import { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import type { Address } from "./address.ts";
import { Asked } from "./asked.ts";
import type { Credential } from "./credential.ts";
import { Fences } from "./fences.ts";
import type { Grant } from "./grants.ts";
import type { Json } from "./json.ts";
import { lostTexts } from "./lost.ts";
import type { Refusal } from "./refusal.ts";
import { Transport } from "./transport.ts";
import { Unsaved } from "./unsaved.ts";

/** Refusals of what was written, to which a fresh copy is the answer: malformed, not allowed, client id taken, too large. */
const OF_WRITING: ReadonlySet<number> = new Set([4400, 4403, 4409, 4413]);

export interface Heard {
  readonly changed: () => void;
  readonly granted: (grant: Grant) => void;
}

export class Replica {
  readonly doc = new Y.Doc();
  readonly awareness = new Awareness(this.doc);
  readonly fences: Fences;
  readonly #asked: Asked;
  readonly transport: Transport;
  readonly #unsaved: Unsaved;

  /** `before` is the copy whose place this one is to take. */
  constructor(address: Address, credential: Credential, { changed, granted }: Heard, before?: Replica) {
    this.#unsaved = new Unsaved(this.doc, before?.writers);
    this.fences = new Fences(changed, this.#unsaved);
    this.#asked = new Asked(this.doc, this.fences);
    this.transport = new Transport(address, credential, {
      doc: this.doc,
      awareness: this.awareness,
      fences: this.fences,
      unsaved: this.#unsaved,
      changed,
      granted,
    });
    this.doc.on("update", (_update: Uint8Array, origin: unknown, _doc: Y.Doc, transaction: Y.Transaction) => {
      // Also what is read from this browser's copy: it may never have been sent, so it is as unsaved as a fresh edit.
      if (this.transport.isOrigin(origin)) return;
      this.#unsaved.brought(transaction);
      this.fences.edited();
    });
  }

  /** The clients whose writing here the server may not have. */
  get writers(): Iterable<number> {
    return this.#unsaved.writers;
  }

  /** The refusal of something that this copy has, when there was one: of what was written here, or seen here only. */
  get refusedWriting(): Refusal | null {
    const { refusal, hasAnswered } = this.transport;
    return refusal !== null && hasAnswered && OF_WRITING.has(refusal.code) ? refusal : null;
  }

  /** The texts that were written here and that the server has not, as far as `fresh`, the server's document, tells. */
  lost(fresh: Y.Doc): string[] {
    return lostTexts(this.doc, Y.decodeStateVector(Y.encodeStateVector(fresh)), this.writers, fresh);
  }

  /** Asks `fresh`, which takes the place of this copy, for what the server had answered here and has forgotten. */
  askAgain(fresh: Replica): void {
    const again = this.#asked.taken(fresh.doc);
    fresh.doc.transact(() => {
      for (const [key, value] of again) fresh.doc.getMap<Json>("requests").set(key, value);
    }, "cosession");
  }

  /** The texts that were written here, and that no fence has vouched for. */
  unsaved(): string[] {
    return lostTexts(this.doc, this.#unsaved.clocks, this.writers);
  }

  close(): void {
    this.transport.close();
    this.awareness.destroy();
    this.doc.destroy();
    // An editor may still write into the document: that is never saved.
    this.doc.on("update", () => this.fences.edited());
  }
}
