/** The Maps of one root of the document as a list of snapshots. */

import type * as Y from "yjs";
import { isObject } from "./json.ts";
import type { Reader } from "./shapes.ts";
import type { Snapshots } from "./snapshots.ts";

/** Reads the entries of a root; an unchanged entry, and an unchanged list, are the same objects as before. */
export class Directory<Entry extends { readonly id: string }> {
  readonly #root: () => Y.Map<unknown>;
  readonly #snapshots: Snapshots;
  readonly #entries = new WeakMap<object, Entry>();
  readonly #read: (id: string, json: object) => Entry;
  readonly #order: (first: Entry, second: Entry) => number;
  #json: unknown;
  #list: readonly Entry[] = Object.freeze([]);

  constructor(
    root: () => Y.Map<unknown>,
    snapshots: Snapshots,
    read: (id: string, json: object) => Entry,
    order: (first: Entry, second: Entry) => number,
  ) {
    this.#root = root;
    this.#snapshots = snapshots;
    this.#read = read;
    this.#order = order;
  }

  get y(): Y.Map<unknown> {
    return this.#root();
  }

  list(): readonly Entry[] {
    const json = this.#snapshots.of(this.#root()) as Readonly<Record<string, unknown>>;
    if (json !== this.#json) {
      this.#json = json;
      const entries = Object.entries(json).flatMap(([id, value]) => this.#entry(id, value) ?? []);
      this.#list = Object.freeze(entries.sort(this.#order));
    }
    return this.#list;
  }

  #entry(id: string, value: unknown): Entry | undefined {
    if (!isObject(value)) return undefined; // written by another client, and no entry
    const known = this.#entries.get(value);
    if (known) return known;
    const entry = Object.freeze(this.#read(id, value));
    this.#entries.set(value, entry);
    return entry;
  }
}

/** Reads an object with a reader, as if every field were there: absent ones are undefined. */
export function fields<Fields>(read: Reader, json: object): Partial<Fields> {
  return (read(json) ?? {}) as Partial<Fields>;
}

/** Compares texts; RFC 3339 in UTC sorts by time. */
export function compare(first: string, second: string): number {
  return first < second ? -1 : first > second ? 1 : 0;
}
