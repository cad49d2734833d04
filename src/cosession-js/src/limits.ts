/**
 * Limits: the sizes that the server accepts (frame 104 announces them), and the size of a value in an update.
 *
 * A larger value is refused before it is written: an update that is too large for a frame can never be sent.
 */

import { InvalidValue } from "./errors.ts";
import { isObject, type Json } from "./json.ts";

export interface Limits {
  /** The largest frame, in bytes. */
  readonly frameBytes: number;
  /** The most structs, values and deleted ranges in one frame. */
  readonly structs: number;
  /** The largest presence of one page, in bytes of JSON as UTF-8. */
  readonly presenceBytes: number;
  /** The largest single value (a string, a plain object), in bytes. */
  readonly valueBytes: number;
  /** The most keys and values in one plain object or list. */
  readonly valueEntries: number;
}

/** The defaults of the server's settings, until it sends its own. */
export const DEFAULT_LIMITS: Limits = Object.freeze({
  frameBytes: 96 * 2 ** 20,
  structs: 250_000,
  presenceBytes: 64 * 2 ** 10,
  valueBytes: 16 * 2 ** 20,
  valueEntries: 100_000,
});

/** The size of a frame besides one record: its head, and the ids around each value. */
const FRAME_HEAD = 256;
/** The largest size of an entry besides its key and value: the ids of itself, its neighbours and its parent. */
const ENTRY_HEAD = 48;
/** The largest overhead of an entry in a plain value: its type, and the lengths of its key and itself. */
const VALUE_HEAD = 16;

/** A name may be as long as a frame divided by this: a key may contain several names, percent-encoded. */
const NAME_SHARE = 16;

/** Returns the limits of a grant; a missing or invalid one stays as it was. */
export function limitsFrom(told: unknown, before: Limits): Limits {
  if (!isObject(told)) return before;
  const number = (key: string, known: number): number => {
    const value = told[key];
    return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : known;
  };
  return Object.freeze({
    frameBytes: number("frame_bytes", before.frameBytes),
    structs: number("structs", before.structs),
    presenceBytes: number("presence_bytes", before.presenceBytes),
    valueBytes: number("value_bytes", before.valueBytes),
    valueEntries: number("value_entries", before.valueEntries),
  });
}

/**
 * Checks that a record, which the server accepts only whole, fits into a frame.
 *
 * @throws InvalidValue when it doesn't
 */
export function checkRecord(record: Json, { frameBytes, structs }: Limits, what: string): void {
  const { bytes, entries } = weigh(record);
  if (bytes + FRAME_HEAD > frameBytes) throw tooLarge(what, bytes, frameBytes);
  if (entries + 1 > structs)
    throw new InvalidValue(
      `${what} has ${entries} entries, and the server takes ${structs} at once; write it in several smaller ones.`,
    );
}

/**
 * Checks that a value that is written as one, and not as shared types, is no larger than the server accepts.
 *
 * @throws InvalidValue when it is
 */
export function checkValue(value: Json, { valueBytes, valueEntries }: Limits, what: string): void {
  const { bytes, entries, keys } = weigh(value);
  const size = bytes - (ENTRY_HEAD - VALUE_HEAD) * entries;
  if (size > valueBytes)
    throw new InvalidValue(
      `${what} holds a value of about ${size} bytes, and the server takes ${valueBytes}; write several values, or ` +
        "store large files elsewhere and write their address.",
    );
  if (entries - 1 + keys > valueEntries)
    throw new InvalidValue(
      `${what} holds a value of ${entries - 1 + keys} keys and values, and the server takes ${valueEntries}; write ` +
        "a shared map or list (as `state` does), or several values.",
    );
}

/**
 * Checks that a name, which may become a part of keys, isn't too long for them.
 *
 * @throws InvalidValue when it is
 */
export function checkName(name: string, { frameBytes }: Pick<Limits, "frameBytes">, what: string): void {
  const [bytes, most] = [utf8Length(name), Math.floor(frameBytes / NAME_SHARE)];
  if (bytes > most)
    throw new InvalidValue(`${what} has ${bytes} bytes, and the server takes ${most}; use a shorter name.`);
}

/**
 * Checks that each text and number of a tree fits into a frame with its key; branches may be sent separately.
 *
 * @throws InvalidValue when one doesn't
 */
export function checkLeaves(tree: Json, limits: Limits, what: string, key = ""): void {
  if (Array.isArray(tree)) for (const each of tree) checkLeaves(each, limits, what);
  else if (isObject(tree)) {
    checkName(key, limits, `A key in ${what.toLowerCase()}`);
    for (const [name, each] of Object.entries(tree)) checkLeaves(each, limits, what, name);
  } else {
    checkRecord([key, tree], limits, what);
    checkValue(tree, limits, what);
  }
}

/** Returns the number of bytes of a text as UTF-8. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    // Each half of a surrogate pair counts two bytes.
    if (unit > 0x7f) bytes += unit > 0x7ff && (unit < 0xd800 || unit > 0xdfff) ? 2 : 1;
  }
  return bytes;
}

/** Returns the most bytes that a value takes in an update, its number of entries, and how many of them have keys. */
function weigh(value: Json): { bytes: number; entries: number; keys: number } {
  if (typeof value === "string") return { bytes: utf8Length(value) + ENTRY_HEAD, entries: 1, keys: 0 };
  let bytes = ENTRY_HEAD;
  let entries = 1;
  let keys = 0;
  if (Array.isArray(value) || isObject(value)) {
    for (const [key, each] of Object.entries(value) as [string, Json][]) {
      const weight = weigh(each);
      bytes += weight.bytes + (Array.isArray(value) ? 0 : utf8Length(key));
      entries += weight.entries;
      keys += weight.keys + (Array.isArray(value) ? 0 : 1);
    }
  }
  return { bytes, entries, keys };
}

function tooLarge(what: string, bytes: number, limit: number): InvalidValue {
  return new InvalidValue(
    `${what} has about ${bytes} bytes, and the server takes ${limit} at once; write it in smaller ones, or store ` +
      "what is large elsewhere and write its address.",
  );
}
