/**
 * JSON of shared types that keeps its identity while nothing in it changes.
 *
 * A view reads the same list at every render; a comparison with `===` then finds the parts to draw again, down to a
 * single message or part. There is one cache for a whole document: before the observers of a transaction run, each
 * changed type and all its ancestors are removed from it. While a transaction is open the cache isn't used, because its
 * changes aren't known yet.
 */

import * as Y from "yjs";

// biome-ignore lint/suspicious/noExplicitAny: the events of a Y.AbstractType differ by its kind and don't matter here
type Shared = Y.AbstractType<any>;

export class Snapshots {
  readonly #cache = new WeakMap<Shared, unknown>();
  #open = 0;

  /** Watches the changes of a document; it may watch several. */
  watch(doc: Y.Doc): void {
    doc.on("beforeTransaction", () => {
      this.#open += 1;
    });
    doc.on("beforeObserverCalls", (transaction: Y.Transaction) => {
      this.#open -= 1;
      for (const type of transaction.changed.keys()) this.#forget(type);
    });
  }

  /** Returns the frozen JSON of `value`, the same object as before when nothing inside changed. */
  of(value: unknown): unknown {
    if (!(value instanceof Y.AbstractType)) return value;
    if (this.#open > 0) return this.#read(value);
    const known = this.#cache.get(value);
    if (known !== undefined) return known;
    const snapshot = this.#read(value);
    this.#cache.set(value, snapshot);
    return snapshot;
  }

  #read(type: Shared): unknown {
    if (type instanceof Y.Map) {
      const entries: [string, unknown][] = [];
      type.forEach((value, key) => {
        entries.push([key, this.of(value)]);
      });
      return Object.freeze(Object.fromEntries(entries));
    }
    if (type instanceof Y.Array) return Object.freeze(type.map((value) => this.of(value)));
    return type.toString(); // Text and the XML types
  }

  #forget(type: Shared): void {
    for (let each: Shared | null = type; each !== null; each = each.parent as Shared | null)
      this.#cache.delete(each);
  }
}
