/**
 * Who wrote here what the server may not have: client id → the clock up to which it has that client.
 *
 * The server's sync step 1 tells it first; after that, every fence that came back.
 */

import * as Y from "yjs";

export class Unsaved {
  readonly #doc: Y.Doc;
  #clocks = new Map<number, number>();

  constructor(doc: Y.Doc) {
    this.#doc = doc;
  }

  get clocks(): ReadonlyMap<number, number> {
    return this.#clocks;
  }

  /** The server has told its state vector, at the beginning of a connection. */
  compared(vector: Uint8Array): void {
    const theirs = Y.decodeStateVector(vector);
    this.#clocks = new Map([[this.#doc.clientID, theirs.get(this.#doc.clientID) ?? 0]]);
    for (const client of this.#doc.store.clients.keys()) {
      const has = theirs.get(client) ?? 0;
      if (has < Y.getState(this.#doc.store, client)) this.#clocks.set(client, has);
    }
  }

  /** The clock that a fence sent now will vouch for. */
  get ownClock(): number {
    return Y.getState(this.#doc.store, this.#doc.clientID);
  }

  /** A fence came back: what others wrote and this page brought went before it. */
  saved(ownClock: number): void {
    this.#clocks = new Map([[this.#doc.clientID, ownClock]]);
  }
}
