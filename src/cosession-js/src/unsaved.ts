/**
 * What was written here that the server may not have: the clients that wrote it, each with the clock up to which the
 * server has it.
 *
 * The server's first sync step 1 tells that; after that, every fence that came back. A later step 1 tells no more: it
 * counts the clocks of what was refused meanwhile. It may tell less, after a crash. What came from the server isn't
 * here, also where a crash made the server lose it: whoever wrote it brings it back.
 */

import * as Y from "yjs";

export class Unsaved {
  readonly #doc: Y.Doc;
  #writers: Set<number>;
  #clocks: ReadonlyMap<number, number> = new Map();
  #ownSaved = 0;

  /** `earlier` are the clients that wrote in the documents before this one. */
  constructor(doc: Y.Doc, earlier: Iterable<number> = []) {
    this.#doc = doc;
    this.#writers = new Set([...earlier, doc.clientID]);
  }

  get writers(): Iterable<number> {
    return this.#writers;
  }

  get clocks(): ReadonlyMap<number, number> {
    return this.#clocks;
  }

  /**
   * A change came that isn't the server's. What is read from this browser's copy counts whoever wrote it: the copy
   * doesn't tell what an earlier load of the page had written from what that had seen.
   */
  brought({ beforeState, afterState }: Y.Transaction): void {
    for (const [client, clock] of afterState)
      if (clock !== (beforeState.get(client) ?? 0)) this.#writers.add(client);
  }

  /** The server has told its state vector. */
  compared(theirs: ReadonlyMap<number, number>): void {
    const before = this.#clocks;
    this.#clocks = new Map(
      [...this.#writers].map((client) => {
        const clock = theirs.get(client) ?? 0;
        return [client, Math.min(before.get(client) ?? clock, clock)];
      }),
    );
  }

  /** The clock that a fence sent now will vouch for. */
  get ownClock(): number {
    return Y.getState(this.#doc.store, this.#doc.clientID);
  }

  /** Whether a fence has vouched for all that stands under this page's own client id. */
  get isOwnSaved(): boolean {
    return this.ownClock <= this.#ownSaved;
  }

  /** A fence came back: all that this page brought went before it. */
  saved(ownClock: number): void {
    this.#ownSaved = ownClock;
    this.#writers = new Set([this.#doc.clientID]);
    this.#clocks = new Map([[this.#doc.clientID, ownClock]]);
  }
}
