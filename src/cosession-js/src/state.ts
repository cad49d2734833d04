/**
 * The application's shared state: a JSON-like tree in nested Maps, read and written by path.
 *
 * Writes to different keys merge; of two concurrent writes to one key, one wins. So write leaves, not trees, and know
 * one rule of Yjs: when two clients make the same Map at the same time, one of the two is lost with what is in it. Where
 * many start writing below a new name at once, use flat keys, or let one party make the Map.
 */

import * as Y from "yjs";
import { isObject, type Json } from "./json.ts";
import type { Snapshots } from "./snapshots.ts";

/** `"trip.hotel.name"`, or a list of keys where a key has dots in it. */
export type Path = string | readonly string[];

export class State {
  readonly root: Y.Map<unknown>;
  readonly #snapshots: Snapshots;
  readonly #subscribe: (listener: () => void) => () => void;

  constructor(root: Y.Map<unknown>, snapshots: Snapshots, subscribe: (listener: () => void) => () => void) {
    this.root = root;
    this.#snapshots = snapshots;
    this.#subscribe = subscribe;
  }

  /** The value at `path`, frozen, the same object as before when nothing in it changed; undefined when there is none. */
  get<Value = Json>(path: Path): Value | undefined {
    let value: unknown = this.root;
    for (const key of keysOf(path)) value = child(value, key);
    return this.#snapshots.of(value) as Value | undefined;
  }

  /** Writes `value`; objects become Maps and lists become Arrays, so others can edit inside. Makes Maps on the way. */
  set(path: Path, value: Json): void {
    const keys = keysOf(path);
    const last = keys.pop();
    if (last === undefined) throw new Error("State.set needs a path of at least one key.");
    this.#transact(() => {
      let parent: Y.Map<unknown> = this.root;
      for (const key of keys) parent = mapAt(parent, key);
      if (!isSame(parent.get(last), value)) parent.set(last, shared(value)); // an equal write would only leave a tombstone
    });
  }

  /** Removes what is at `path`; nothing happens when there is nothing. */
  delete(path: Path): void {
    const keys = keysOf(path);
    const last = keys.pop();
    if (last === undefined) throw new Error("State.delete needs a path of at least one key.");
    let parent: unknown = this.root;
    for (const key of keys) parent = child(parent, key);
    if (parent instanceof Y.Map && parent.has(last)) parent.delete(last);
  }

  toJSON(): Readonly<Record<string, Json>> {
    return this.#snapshots.of(this.root) as Readonly<Record<string, Json>>;
  }

  /** Calls `listener` after each change of the state, until the returned function is called. */
  subscribe(listener: () => void): () => void {
    return this.#subscribe(listener);
  }

  #transact(change: () => void): void {
    if (this.root.doc) this.root.doc.transact(change, "state");
    else change();
  }
}

function keysOf(path: Path): string[] {
  return typeof path === "string" ? path.split(".").filter((key) => key !== "") : [...path];
}

function child(value: unknown, key: string): unknown {
  if (value instanceof Y.Map) return value.get(key);
  if (value instanceof Y.Array) return /^\d+$/.test(key) ? value.get(Number(key)) : undefined;
  if (Array.isArray(value)) return value[Number(key)];
  return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

function mapAt(parent: Y.Map<unknown>, key: string): Y.Map<unknown> {
  const known = parent.get(key);
  if (known instanceof Y.Map) return known;
  const made = isObject(known) ? (shared(known) as Y.Map<unknown>) : new Y.Map<unknown>();
  parent.set(key, made);
  return made;
}

function shared(value: Json): unknown {
  if (Array.isArray(value)) {
    const array = new Y.Array<unknown>();
    array.push(value.map(shared));
    return array;
  }
  if (isObject(value)) return new Y.Map(Object.entries(value).map(([key, each]) => [key, shared(each)]));
  return value;
}

/** Whether a plain value is there already; trees are always written. */
function isSame(known: unknown, value: Json): boolean {
  return known === value && (typeof value !== "object" || value === null);
}
