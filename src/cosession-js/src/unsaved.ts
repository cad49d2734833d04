/**
 * Changes of this page that the server may lack: the clients that wrote them, each with the clock up to which the
 * server has its changes.
 *
 * The clocks come from the server's first sync step 1, then from each returned fence. A later step 1 can't raise them,
 * because it counts the clocks of refused changes; after a crash it may lower them. Changes that came from the server
 * are not included, also if a crash made the server lose them: the client that wrote them sends them again.
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
   * Records a change that isn't the server's. All changes read from this browser's copy count, by any client: the copy
   * doesn't distinguish changes that an earlier load of the page wrote from those that it received.
   */
  brought({ beforeState, afterState }: Y.Transaction): void {
    for (const [client, clock] of afterState)
      if (clock !== (beforeState.get(client) ?? 0)) this.#writers.add(client);
  }

  /** Records the server's state vector. */
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

  /** Whether a fence has vouched for all changes under this page's own client id. */
  get isOwnSaved(): boolean {
    return this.ownClock <= this.#ownSaved;
  }

  /** Records a returned fence: all changes of this page were sent before it. */
  saved(ownClock: number): void {
    this.#ownSaved = ownClock;
    this.#writers = new Set([this.#doc.clientID]);
    this.#clocks = new Map([[this.#doc.clientID, ownClock]]);
  }
}
