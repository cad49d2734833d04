/**
 * The backlog of one reader of a document (the server, this browser's copy): changes that it hasn't been given yet.
 *
 * It follows the document's transactions: new clocks by client, and deleted ranges. Taken changes count as given; a
 * reader that may not have received them reports its state again.
 */

import * as Y from "yjs";
import type { SessionDoc } from "./document.ts";
import type { Limits } from "./limits.ts";
import { type Clocks, nextPiece } from "./pieces.ts";

interface Range {
  clock: number;
  len: number;
}

export class Backlog {
  readonly #doc: SessionDoc;
  #known = new Map<number, number>();
  #news = new Set<number>();
  #deletes = new Map<number, Range[]>();
  /** Whether the document had pending structs, which wait for their dependencies: a reader's update may apply them. */
  #isWaiting = false;

  constructor(doc: SessionDoc) {
    this.#doc = doc;
  }

  get isEmpty(): boolean {
    return this.#news.size === 0 && this.#deletes.size === 0;
  }

  /** Sets the reader's clocks; it may lack everything else and every deletion. */
  reset(known: Clocks): void {
    this.#known = new Map(known);
    this.#news = new Set();
    this.look();
    this.#deletes = new Map(Y.createDeleteSetFromStructStore(this.#doc.store).clients);
  }

  /** Records that the reader has the whole document. */
  caughtUp(): void {
    this.#known = clocksOf(this.#doc);
    this.#news = new Set();
    this.#deletes = new Map();
  }

  /** Compares all clocks with the given ones; returns whether the reader lacks changes that no transaction reported. */
  look(): boolean {
    const before = this.#news.size;
    for (const [client, clock] of clocksOf(this.#doc))
      if (clock > (this.#known.get(client) ?? 0)) this.#news.add(client);
    return this.#news.size > before;
  }

  /**
   * Records a transaction; `fromReader` when it applied the reader's update. Returns whether that has applied pending
   * structs as well, of which the reader may lack a part.
   */
  note({ beforeState, afterState, deleteSet }: Y.Transaction, fromReader: boolean): boolean {
    const isTheirs = fromReader && !this.#isWaiting;
    const { pendingStructs, pendingDs } = this.#doc.store;
    this.#isWaiting = pendingStructs !== null || pendingDs !== null;
    for (const [client, clock] of afterState) {
      if (clock === (beforeState.get(client) ?? 0)) continue;
      if (isTheirs && !this.#news.has(client)) this.#known.set(client, clock);
      else if (clock > (this.#known.get(client) ?? 0)) this.#news.add(client);
    }
    if (isTheirs) return false;
    for (const [client, ranges] of deleteSet.clients) {
      const waiting = this.#deletes.get(client) ?? [];
      for (const { clock, len } of ranges) waiting.push({ clock, len });
      this.#deletes.set(client, waiting);
    }
    return fromReader && !this.isEmpty;
  }

  /** Takes the next update for the reader; an empty one when it lacks nothing. */
  take(limits: Pick<Limits, "frameBytes" | "structs">): Uint8Array {
    const deletes = new Map([...this.#deletes].map(([client, ranges]) => [client, joined(ranges)]));
    const { update, reached, left, isLast } = nextPiece(this.#doc, this.#known, this.#news, deletes, limits);
    for (const [client, clock] of reached) {
      this.#known.set(client, clock);
      if (clock >= Y.getState(this.#doc.store, client)) this.#news.delete(client);
    }
    if (isLast) this.#news = new Set();
    this.#deletes = new Map([...left].map(([client, ranges]) => [client, [...ranges]]));
    return update;
  }
}

/** Returns whether a transaction has changed anything. */
export function hasChanged({ beforeState, afterState, deleteSet }: Y.Transaction): boolean {
  if (deleteSet.clients.size > 0) return true;
  for (const [client, clock] of afterState) if (clock !== (beforeState.get(client) ?? 0)) return true;
  return false;
}

export function clocksOf(doc: Y.Doc): Map<number, number> {
  const clocks = new Map<number, number>();
  for (const client of doc.store.clients.keys()) clocks.set(client, Y.getState(doc.store, client));
  return clocks;
}

/** Returns ranges in order, with adjacent ones joined. */
function joined(ranges: readonly Range[]): Range[] {
  const sorted = [...ranges].sort((one, other) => one.clock - other.clock);
  const result: Range[] = [];
  for (const { clock, len } of sorted) {
    const last = result.at(-1);
    if (last !== undefined && last.clock + last.len >= clock)
      last.len = Math.max(last.len, clock + len - last.clock);
    else result.push({ clock, len });
  }
  return result;
}
