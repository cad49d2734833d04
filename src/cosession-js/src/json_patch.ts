/** JSON Patch (RFC 6902) on shared types: all operations are tried on plain JSON before the first is carried out. */

import * as Y from "yjs";
import { Conflict, InvalidValue } from "./errors.ts";
import { checked, checkedKey, isEqual, isObject, type Json } from "./json.ts";
import { shared } from "./shared.ts";
import { transact } from "./transact.ts";

export type JsonPatch =
  | { readonly op: "add" | "replace" | "test"; readonly path: string; readonly value: Json }
  | { readonly op: "remove"; readonly path: string }
  | { readonly op: "move" | "copy"; readonly from: string; readonly path: string };

type Container = Y.Map<unknown> | Y.Array<unknown>;

/** Returns the keys of each place that operations write. */
export function touchedBy(operations: readonly JsonPatch[]): string[][] {
  if (!Array.isArray(operations)) throw new InvalidValue("A JSON Patch is a list of operations.");
  return operations.flatMap((operation) => {
    const to = keysOf(operation.path);
    if (operation.op === "test") return [];
    return operation.op === "move" ? [keysOf(operation.from), to] : [to];
  });
}

/**
 * Applies operations to a Map, in one transaction.
 *
 * @param checkSize - throws when a value is too large
 */
export function patch(
  root: Y.Map<unknown>,
  operations: readonly JsonPatch[],
  checkSize: (value: Json) => void,
): void {
  const steps = plan(root.toJSON() as Json, operations, checkSize);
  transact(root.doc, () => {
    for (const step of steps) carryOut(root, step);
  });
}

/** A change of one place: `value` is undefined when it is removed. */
interface Step {
  readonly keys: readonly string[];
  readonly value: Json | undefined;
  /** Whether a value in a list is put before the one at its index, and not in its place. */
  readonly isInserted: boolean;
}

function plan(json: Json, operations: readonly JsonPatch[], checkSize: (value: Json) => void): Step[] {
  const tree = { root: structuredClone(json) as unknown };
  const steps: Step[] = [];
  const write = (keys: readonly string[], value: Json | undefined, isInserted: boolean): void => {
    const step = { keys: resolved(tree.root, keys), value, isInserted };
    change(tree, step);
    steps.push(step);
  };
  for (const operation of operations) {
    const keys = keysOf(operation.path);
    switch (operation.op) {
      case "add":
      case "replace": {
        const value = checked(operation.value, "The value");
        checkSize(value);
        if (operation.op === "replace") find(tree.root, keys);
        write(keys, value, operation.op === "add");
        break;
      }
      case "remove":
        find(tree.root, keys);
        write(keys, undefined, false);
        break;
      case "test":
        if (!isEqual(find(tree.root, keys), operation.value))
          throw new Conflict(`The value at \`${operation.path}\` isn't the one that the patch tests for.`);
        break;
      case "move":
      case "copy": {
        const from = keysOf(operation.from);
        const value = structuredClone(find(tree.root, from)) as Json;
        if (operation.op === "move" && `${operation.path}/`.startsWith(`${operation.from}/`)) {
          if (operation.path === operation.from) break;
          throw new InvalidValue(`\`${operation.from}\` can't move into itself.`, { path: operation.path });
        }
        if (operation.op === "move") write(from, undefined, false);
        write(keys, value, true);
        break;
      }
      default:
        throw new InvalidValue("An operation of a JSON Patch is add, replace, remove, move, copy or test.");
    }
  }
  return steps;
}

/** Returns the keys of a JSON Pointer (RFC 6901). */
function keysOf(pointer: unknown): string[] {
  if (typeof pointer !== "string" || (pointer !== "" && !pointer.startsWith("/")))
    throw new InvalidValue(
      `A place in a JSON Patch is a JSON Pointer such as \`/trip/hotel\`, not ${String(pointer)}.`,
    );
  const keys = pointer.split("/").slice(1);
  return keys.map((key) => checkedKey(key.replaceAll("~1", "/").replaceAll("~0", "~"), "The path"));
}

function find(root: unknown, keys: readonly string[]): unknown {
  let value = root;
  for (const key of keys) {
    const inList = Array.isArray(value) && isIndex(key) ? value[Number(key)] : undefined;
    value = isObject(value) && Object.hasOwn(value, key) ? value[key] : inList;
    if (value === undefined) throw nowhere(keys);
  }
  return value;
}

/** Returns the keys with `-`, the end of a list, as an index; throws when the last one has no container. */
function resolved(root: unknown, keys: readonly string[]): string[] {
  const way = keys.slice(0, -1);
  const last = keys.at(-1);
  if (last === undefined) return [];
  const parent = find(root, way);
  if (Array.isArray(parent)) {
    const index = last === "-" ? String(parent.length) : last;
    if (!isIndex(index) || Number(index) > parent.length) throw nowhere(keys);
    return [...way, index];
  }
  if (!isObject(parent)) throw nowhere(keys);
  return [...keys];
}

function change(tree: { root: unknown }, { keys, value, isInserted }: Step): void {
  const last = keys.at(-1);
  if (last === undefined) {
    if (!isObject(value)) throw new InvalidValue("The state as a whole is an object.");
    tree.root = structuredClone(value);
    return;
  }
  const parent = find(tree.root, keys.slice(0, -1));
  if (Array.isArray(parent)) {
    const index = Number(last);
    if (value === undefined) parent.splice(index, 1);
    else parent.splice(index, isInserted ? 0 : 1, structuredClone(value));
  } else {
    const object = parent as Record<string, unknown>;
    if (value === undefined) delete object[last];
    else object[last] = structuredClone(value);
  }
}

function carryOut(root: Y.Map<unknown>, { keys, value, isInserted }: Step): void {
  const last = keys.at(-1);
  if (last === undefined) {
    root.clear();
    for (const [key, each] of Object.entries(value as object)) root.set(key, shared(each));
    return;
  }
  const parent = keys.slice(0, -1).reduce<Container>(container, root);
  if (parent instanceof Y.Array) {
    const index = Number(last);
    if (value === undefined || !isInserted) parent.delete(index);
    if (value !== undefined) parent.insert(index, [shared(value)]);
  } else if (value === undefined) parent.delete(last);
  else parent.set(last, shared(value));
}

/** Returns the container at a key; plain JSON that another client wrote there becomes shared types. */
function container(parent: Container, key: string): Container {
  const known: unknown = parent instanceof Y.Map ? parent.get(key) : parent.get(Number(key));
  if (known instanceof Y.Map || known instanceof Y.Array) return known;
  const made = shared(known) as Container;
  if (parent instanceof Y.Map) parent.set(key, made);
  else {
    parent.delete(Number(key));
    parent.insert(Number(key), [made]);
  }
  return made;
}

function isIndex(key: string): boolean {
  return /^(0|[1-9]\d*)$/.test(key);
}

function nowhere(keys: readonly string[]): InvalidValue {
  return new InvalidValue("The patch names a place that the state doesn't have.", { path: keys.join(".") });
}
