/**
 * Readers of untrusted values: each returns a value of its type, or undefined, whatever a client has written.
 *
 * A field of another type is left out, and so is an element of a list. A valid value stays the same object.
 */

import { isObject } from "./json.ts";

export type Reader = (value: unknown) => unknown;

export const string: Reader = (value) => (typeof value === "string" ? value : undefined);
export const number: Reader = (value) => (typeof value === "number" ? value : undefined);

export function oneOf(...names: string[]): Reader {
  return (value) => (names.includes(value as string) ? value : undefined);
}

export function orNull(read: Reader): Reader {
  return (value) => (value === null ? null : read(value));
}

export function listOf(read: Reader): Reader {
  return (value) => {
    if (!Array.isArray(value)) return undefined;
    const list = value.map(read).filter((each) => each !== undefined);
    const isSame = list.length === value.length && list.every((each, index) => each === value[index]);
    return isSame ? value : Object.freeze(list);
  };
}

/** Reads a list of objects; of several with the same id the first is kept. */
export function onceEach(read: Reader): Reader {
  return (value) => {
    const list = read(value) as readonly { readonly id: string }[] | undefined;
    if (list === undefined || new Set(list.map(({ id }) => id)).size === list.length) return list;
    return Object.freeze([...Map.groupBy(list, ({ id }) => id).values()].map(([first]) => first));
  };
}

/** Reads an object with these fields, and any others as they are; undefined when one of the `needed` is missing. */
export function object(fields: Readonly<Record<string, Reader>>, ...needed: string[]): Reader {
  return (value) => {
    if (!isObject(value)) return undefined;
    const entries = Object.entries(value).map(([key, each]) => {
      const read = Object.hasOwn(fields, key) ? fields[key] : undefined;
      return [key, read ? read(each) : each] as const;
    });
    const kept = entries.filter(([, each]) => each !== undefined);
    const isSame = kept.length === entries.length && kept.every(([key, each]) => each === value[key]);
    const result = isSame ? value : Object.freeze(Object.fromEntries(kept));
    return needed.every((key) => Object.hasOwn(result, key)) ? result : undefined;
  };
}

/** Reads an object of any keys; each value is read by `read`. */
export function mapOf(read: Reader): Reader {
  return (value) => {
    if (!isObject(value)) return undefined;
    return object(Object.fromEntries(Object.keys(value).map((key) => [key, read])))(value);
  };
}
