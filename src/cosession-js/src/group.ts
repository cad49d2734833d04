/** Groups: the parts of a session, each with its values and its verbs. */

import { InvalidValue } from "./errors.ts";
import { checkedId } from "./json.ts";

/** Values of one kind; `all` is a frozen list, the same object until something in it changes. */
export interface Group<Item> extends Iterable<Item> {
  readonly all: readonly Item[];
  get(id: string): Item | undefined;
  /** The Yjs type that holds them. */
  readonly y: unknown;
}

/** An id, or an object that has one. */
export type Target = string | { readonly id: string };

/** Returns the id of a target. */
export function idOf(target: Target, what: string): string {
  if (typeof target === "string") return checkedId(target, what);
  if (typeof target === "object" && target !== null) return checkedId(target.id, what);
  throw new InvalidValue(`${what} is a text, or an object that has one as \`id\`.`);
}

/** Finds list items by id; the index of a list is made once. */
export class Index<Item extends { readonly id: string }> {
  readonly #known = new WeakMap<readonly Item[], ReadonlyMap<string, Item>>();

  get(list: readonly Item[], id: string): Item | undefined {
    let known = this.#known.get(list);
    if (known === undefined) {
      const made = new Map<string, Item>();
      for (const item of list) if (!made.has(item.id)) made.set(item.id, item);
      known = made;
      this.#known.set(list, known);
    }
    return known.get(id);
  }
}
