/**
 * The application's shared state: a JSON-like tree in nested Maps, read and written by path.
 *
 * Writes to different keys merge; of two concurrent writes to one key, one wins. So write leaves, not trees, and know
 * one rule of Yjs: when two clients make the same Map at the same time, one of the two is lost with what is in it. Where
 * many start writing below a new name at once, use flat keys, or let one party make the Map.
 */

import * as Y from "yjs";
import { isObject, type Json, wellFormed } from "./json.ts";
import { shared } from "./shared.ts";
import type { Snapshots } from "./snapshots.ts";

/** `"trip.hotel.name"`, or a list of keys where a key has dots in it; a whole number reaches into a list. */
export type Path = string | readonly (string | number)[];

type Container = Y.Map<unknown> | Y.Array<unknown>;

export class State {
  readonly #of: { readonly doc: Y.Doc };
  readonly #snapshots: Snapshots;
  readonly #subscribe: (listener: () => void) => () => void;
  readonly #checkOpen: () => void;

  constructor(
    of: { readonly doc: Y.Doc },
    snapshots: Snapshots,
    subscribe: (listener: () => void) => () => void,
    checkOpen: () => void,
  ) {
    this.#of = of;
    this.#snapshots = snapshots;
    this.#subscribe = subscribe;
    this.#checkOpen = checkOpen;
  }

  get root(): Y.Map<unknown> {
    return this.#of.doc.getMap("state");
  }

  /** The value at `path`, the same object as before when nothing in it changed; undefined when there is none. */
  get<Value = Json>(path: Path): Value | undefined {
    let value: unknown = this.root;
    for (const key of keysOf(path)) value = child(value, key);
    return this.#snapshots.of(value) as Value | undefined;
  }

  /** Writes `value`; objects become Maps and lists become Arrays. The Maps on the way are made. */
  set(path: Path, value: Json): void {
    this.#checkOpen();
    const written = wellFormed(value);
    const { way, last } = split(path);
    this.#transact(() => {
      let parent: Container = this.root;
      for (const key of way) parent = container(parent, key);
      // An equal write would change nothing but leave a tombstone.
      if (child(parent, last) !== written) put(parent, last, shared(written));
    });
  }

  /** Removes what is at `path`; nothing happens when there is nothing. */
  delete(path: Path): void {
    this.#checkOpen();
    const { way, last } = split(path);
    let parent: unknown = this.root;
    for (const key of way) parent = child(parent, key);
    if (parent instanceof Y.Map && parent.has(last)) parent.delete(last);
    else if (parent instanceof Y.Array && indexOf(last) < parent.length) parent.delete(indexOf(last));
  }

  toJSON(): Readonly<Record<string, Json>> {
    return this.#snapshots.of(this.root) as Readonly<Record<string, Json>>;
  }

  /** Calls `listener` after each change of the state, until the returned function is called. */
  subscribe(listener: () => void): () => void {
    return this.#subscribe(listener);
  }

  #transact(change: () => void): void {
    this.#of.doc.transact(change, "cosession");
  }
}

function keysOf(path: Path): string[] {
  const keys = typeof path === "string" ? path.split(".") : path.map(String);
  if (keys.includes("")) throw new Error(`A key of the path ${JSON.stringify(path)} must not be empty.`);
  return keys.map((key) => key.toWellFormed());
}

function split(path: Path): { way: string[]; last: string } {
  const way = keysOf(path);
  const last = way.pop();
  if (last === undefined) throw new Error("A path to write to needs at least one key, such as `trip.hotel`.");
  return { way, last };
}

function child(value: unknown, key: string): unknown {
  if (value instanceof Y.Map) return value.get(key);
  if (value instanceof Y.Array) return indexOf(key) < value.length ? value.get(indexOf(key)) : undefined;
  if (Array.isArray(value)) return value[indexOf(key)];
  return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

/** The container at `key`; plain JSON that another client wrote there becomes one. */
function container(parent: Container, key: string): Container {
  const known = child(parent, key);
  if (known instanceof Y.Map || known instanceof Y.Array) return known;
  if (known !== undefined && known !== null && typeof known !== "object") {
    throw new Error(`\`${key}\` holds ${JSON.stringify(known)}, not an object; delete it first.`);
  }
  const made = shared(known ?? {}) as Container;
  put(parent, key, made);
  return made;
}

function put(parent: Container, key: string, value: unknown): void {
  if (parent instanceof Y.Map) {
    parent.set(key, value);
    return;
  }
  const index = indexOf(key);
  if (!(index <= parent.length)) throw new Error(`\`${key}\` is no place in a list of ${parent.length}.`);
  if (index < parent.length) parent.delete(index);
  parent.insert(index, [value]);
}

/** The index that a key of a list means; NaN, which no comparison holds for, when it means none. */
function indexOf(key: string): number {
  return /^\d+$/.test(key) ? Number(key) : Number.NaN;
}
