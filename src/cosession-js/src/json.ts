/**
 * JSON as it is in a session document.
 *
 * Values are checked before any transaction begins, by the rules of the Python SDK (`document/values.py`): Yjs stores a
 * Map as `{}`, accepts NaN and BigInt, and throws in the middle of a change at a function.
 */

import { InvalidValue } from "./errors.ts";

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

/** Nesting of a value: deeper than any interface or tool needs, and shallower than every client's stack. */
export const MAX_DEPTH = 64;

/**
 * Returns a copy of a JSON-like value that a document can hold. An object with `toJSON` (a Date, a URL) is replaced by
 * its result, a key with the value undefined is left out, and half of a surrogate pair, which has no UTF-8, becomes
 * U+FFFD.
 *
 * @param what - how the error's sentence names the value
 * @throws InvalidValue when it isn't JSON, or is nested deeper than `MAX_DEPTH`
 */
export function checked(value: unknown, what = "The value"): Json {
  return check(value, what, []);
}

/** Like `checked`, for a value that must be an object. */
export function checkedObject(value: unknown, what = "The value"): JsonObject {
  const result = checked(value, what);
  if (!isObject(result)) throw new InvalidValue(`${what} must be an object, not ${kindOf(value)}.`);
  return result;
}

/** Returns a string that can be encoded. */
export function checkedText(value: unknown, what = "The text"): string {
  if (typeof value !== "string") throw new InvalidValue(`${what} must be a string, not ${kindOf(value)}.`);
  return value.toWellFormed();
}

/** Returns a string that isn't empty. */
export function checkedId(value: unknown, what: string): string {
  const id = checkedText(value, what);
  if (id === "") throw new InvalidValue(`${what} must not be empty.`);
  return id;
}

/** Returns a list of strings that aren't empty. */
export function checkedIds(value: unknown, what: string): readonly string[] {
  if (!Array.isArray(value)) throw new InvalidValue(`${what} must be a list, not ${kindOf(value)}.`);
  return Array.from(value, (id: unknown) => checkedId(id, `Each of ${what.toLowerCase()}`));
}

/** Returns a key of an object or of a path. */
export function checkedKey(key: string, what: string): string {
  if (key === "__proto__")
    throw new InvalidValue(
      `${what} has a key \`__proto__\`, which would change the prototype of its readers.`,
    );
  return key.toWellFormed();
}

function check(value: unknown, what: string, path: readonly string[]): Json {
  if (path.length > MAX_DEPTH)
    throw invalid(`${what} is nested deeper than ${MAX_DEPTH}; make it flatter.`, path);
  if (typeof value === "string") return value.toWellFormed();
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "number") {
    if (Number.isFinite(value)) return value;
    throw invalid(`${what} holds ${value}, which isn't JSON; use null or a string.`, path);
  }
  if (typeof value === "bigint")
    throw invalid(`${what} holds the BigInt ${value}, which isn't JSON; write it as a string.`, path);
  if (typeof value !== "object") throw notJson(value, what, path);
  if ("toJSON" in value && typeof value.toJSON === "function")
    return check(value.toJSON(path.at(-1) ?? "") as unknown, what, [...path, "toJSON()"]);
  // Array.from reads a hole as undefined, where map() would skip it.
  if (Array.isArray(value))
    return Array.from(value, (each: unknown, index) => check(each, what, [...path, String(index)]));
  if (!isPlain(value)) throw notJson(value, what, path);
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.fromEntries(
    entries.map(([name, each]) => [checkedKey(name, what), check(each, what, [...path, name])]),
  );
}

function invalid(message: string, path: readonly string[]): InvalidValue {
  return new InvalidValue(message, { path: path.join(".") });
}

function notJson(value: unknown, what: string, path: readonly string[]): InvalidValue {
  return invalid(`${what} holds ${kindOf(value)}; only JSON-like values go into a session.`, path);
}

/** Returns whether a value is an object literal, also of another frame, and no instance of a class. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function kindOf(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  const name: unknown = Object.getPrototypeOf(value)?.constructor?.name;
  return typeof value === "object" && typeof name === "string" ? `a ${name}` : `a ${typeof value}`;
}

export function isObject(value: unknown): value is JsonObject {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
  );
}

/** Returns whether two JSON values are equal, whatever the order of their keys. */
export function isEqual(one: unknown, other: unknown): boolean {
  if (Array.isArray(one) && Array.isArray(other))
    return one.length === other.length && one.every((each, index) => isEqual(each, other[index]));
  if (!isObject(one) || !isObject(other)) return one === other;
  const keys = Object.keys(one);
  return (
    keys.length === Object.keys(other).length &&
    keys.every((key) => Object.hasOwn(other, key) && isEqual(one[key], other[key]))
  );
}
