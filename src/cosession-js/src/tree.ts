/** JSON-like trees in nested Maps and Arrays, read and written by path. */

import * as Y from "yjs";
import { isObject, type Json, wellFormed } from "./json.ts";
import { shared } from "./shared.ts";

/** `"trip.hotel.name"`, or a list of keys where a key has dots in it; a whole number reaches into a list. */
export type Path = string | readonly (string | number)[];

type Container = Y.Map<unknown> | Y.Array<unknown>;

/** What is at `path`, a shared type or JSON; undefined when there is nothing. */
export function readAt(root: unknown, path: Path): unknown {
  return keysOf(path).reduce(child, root);
}

/** Writes `value`; objects become Maps and lists become Arrays. The Maps on the way are made. */
export function writeAt(root: Y.Map<unknown>, path: Path, value: Json): void {
  const written = wellFormed(value);
  const { way, last } = split(path);
  const write = (): void => {
    const parent = way.reduce<Container>(container, root);
    // An equal write would change nothing but leave a tombstone.
    if (child(parent, last) !== written) put(parent, last, shared(written));
  };
  root.doc?.transact(write, "cosession");
}

/** Removes what is at `path`; nothing happens when there is nothing. */
export function deleteAt(root: Y.Map<unknown>, path: Path): void {
  const { way, last } = split(path);
  const parent = way.reduce<unknown>(child, root);
  if (parent instanceof Y.Map && parent.has(last)) parent.delete(last);
  else if (parent instanceof Y.Array && indexOf(last) < parent.length) parent.delete(indexOf(last));
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
