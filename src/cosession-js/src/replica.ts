/**
 * One copy of the session's document, and its tie to the server: presence, connection, and what is saved.
 *
 * A session has one at a time. A refused edit can't be taken back (others would miss what comes after it), so the whole
 * copy is then given up for a fresh one.
 */

import { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import type { Address } from "./address.ts";
import type { Credential } from "./credential.ts";
import { Fences } from "./fences.ts";
import type { Grant } from "./grants.ts";
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
  readonly transport: Transport;
  readonly #unsaved = new Unsaved(this.doc);

  constructor(address: Address, credential: Credential, { changed, granted }: Heard) {
    this.fences = new Fences(changed, this.#unsaved);
    this.transport = new Transport(address, credential, {
      doc: this.doc,
      awareness: this.awareness,
      fences: this.fences,
      unsaved: this.#unsaved,
      changed,
      granted,
    });
    this.doc.on("update", (_update: Uint8Array, origin: unknown) => {
      // Also what is read from this browser's copy: it may never have been sent, so it is as unsaved as a fresh edit.
      if (!this.transport.isOrigin(origin)) this.fences.edited();
    });
  }

  /** The refusal of something that was written here, when there was one. */
  get refusedWriting(): Refusal | null {
    const { refusal, hasAnswered } = this.transport;
    return refusal !== null && hasAnswered && !this.fences.saved && OF_WRITING.has(refusal.code)
      ? refusal
      : null;
  }

  /** The texts that this copy has and the server has not, as far as `fresh`, the server's document, tells. */
  lost(fresh: Y.Doc): string[] {
    return lostTexts(this.doc, Y.decodeStateVector(Y.encodeStateVector(fresh)));
  }

  /** The texts that were written here, and that no fence has vouched for. */
  unsaved(): string[] {
    const { clocks } = this.#unsaved;
    return lostTexts(this.doc, clocks, clocks.keys());
  }

  close(): void {
    this.transport.close();
    this.awareness.destroy();
    this.doc.destroy();
    // An editor may still write into the document: that is never saved.
    this.doc.on("update", () => this.fences.edited());
  }
}
