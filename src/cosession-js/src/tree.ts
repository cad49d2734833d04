/** JSON-like trees in nested Maps and Arrays, read and written by path. */

import * as Y from "yjs";
import { InvalidValue } from "./errors.ts";
import { checked, checkedKey, isObject, type Json, MAX_DEPTH } from "./json.ts";
import { checkLeaves, checkName, type Limits } from "./limits.ts";
import { shared } from "./shared.ts";
import { transact } from "./transact.ts";

/** `"trip.hotel.name"`, or a list of keys if a key contains dots; a whole number is an index of a list. */
export type Path = string | readonly (string | number)[];

type Container = Y.Map<unknown> | Y.Array<unknown>;

/** Returns the value at `path`, a shared type or JSON; undefined when there is none. */
export function readAt(root: unknown, path: Path): unknown {
  return keysOf(path).reduce(child, root);
}

/**
 * Writes `value`; objects become Maps and lists become Arrays. Missing Maps on the path are made. A value that can't be
 * written throws before anything is written.
 */
export function writeAt(root: Y.Map<unknown>, path: Path, value: Json, limits: Limits): void {
  const written = checked(value);
  const { way, last } = split(path);
  if (way.length + depthOf(written) > MAX_DEPTH)
    throw new InvalidValue(`The path and the value are nested deeper than ${MAX_DEPTH}; make them flatter.`);
  for (const key of way) checkName(key, limits, "A key of the path");
  checkLeaves(written, limits, "The value", last);
  checkWay(root, [...way, last]);
  transact(root.doc, () => {
    const parent = way.reduce<Container>(container, root);
    // An equal write would change nothing but leave a tombstone.
    if (child(parent, last) !== written) put(parent, last, shared(written));
  });
}

/** Writes a shared type; missing Maps on the path are made. */
export function writeTypeAt(root: Y.Map<unknown>, path: Path, type: Y.Text): void {
  const { way, last } = split(path);
  checkWay(root, [...way, last]);
  put(way.reduce<Container>(container, root), last, type);
}

/** Removes the value at `path`; returns whether there was one. */
export function deleteAt(root: Y.Map<unknown>, path: Path): boolean {
  const { way, last } = split(path);
  const parent = way.reduce<unknown>(child, root);
  return transact(root.doc, () => {
    if (parent instanceof Y.Map && parent.has(last)) parent.delete(last);
    else if (parent instanceof Y.Array && indexOf(last) < parent.length) parent.delete(indexOf(last));
    else return false;
    return true;
  });
}

/** Returns the keys of a path. */
export function keysOf(path: Path): string[] {
  const keys = typeof path === "string" ? path.split(".") : listed(path).map(String);
  if (keys.includes(""))
    throw new InvalidValue(`A key of the path ${JSON.stringify(path)} must not be empty.`);
  return keys.map((key) => checkedKey(key, "The path"));
}

function listed(path: unknown): readonly unknown[] {
  const isPath =
    Array.isArray(path) && Array.from(path).every((key) => typeof key === "string" || Number.isInteger(key));
  if (!isPath)
    throw new InvalidValue("A path is a text such as `trip.hotel`, or a list of texts and whole numbers.");
  return path;
}

function split(path: Path): { way: string[]; last: string } {
  const way = keysOf(path);
  const last = way.pop();
  if (last === undefined)
    throw new InvalidValue("A path to write to needs at least one key, such as `trip.hotel`.");
  return { way, last };
}

function depthOf(value: Json): number {
  if (!Array.isArray(value) && !isObject(value)) return 0;
  return 1 + Object.values(value).reduce<number>((deepest, each) => Math.max(deepest, depthOf(each)), 0);
}

/** Checks a path; throws when a value on it isn't a container, or has no such place. */
function checkWay(root: unknown, keys: readonly string[]): void {
  let value = root;
  let at = "";
  for (const key of keys) {
    if (value === undefined || value === null) return; // the rest of the path is made
    if (value instanceof Y.Array || Array.isArray(value)) {
      if (!(indexOf(key) <= value.length))
        throw new InvalidValue(`\`${key}\` is no place in a list of ${value.length}.`);
    } else if (!(value instanceof Y.Map) && (value instanceof Y.AbstractType || !isObject(value))) {
      const held = value instanceof Y.AbstractType ? "a text" : JSON.stringify(value);
      throw new InvalidValue(`\`${at}\` holds ${held}, not an object; delete it first.`);
    }
    value = child(value, key);
    at = key;
  }
}

function child(value: unknown, key: string): unknown {
  if (value instanceof Y.Map) return value.get(key);
  if (value instanceof Y.Array) return indexOf(key) < value.length ? value.get(indexOf(key)) : undefined;
  if (Array.isArray(value)) return value[indexOf(key)];
  if (value instanceof Y.AbstractType) return undefined;
  return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

/** Returns the container at `key`; plain JSON that another client wrote there is replaced by one. */
function container(parent: Container, key: string): Container {
  const known = child(parent, key);
  if (known instanceof Y.Map || known instanceof Y.Array) return known;
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
  if (index < parent.length) parent.delete(index);
  parent.insert(index, [value]);
}

/** Returns the index that a key of a list means; NaN, for which every comparison is false, when it means none. */
function indexOf(key: string): number {
  return /^\d+$/.test(key) ? Number(key) : Number.NaN;
}
