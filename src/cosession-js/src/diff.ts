/**
 * The smallest single replacement that turns one text into another.
 *
 * The common start and end of both texts stay, so that concurrent edits of others survive there. Offsets are UTF-16
 * units, as in Yjs; a surrogate pair is never cut, because half a pair can't be sent as UTF-8.
 */

import type * as Y from "yjs";

/** A replacement of the characters from `start` up to `end`, exclusive. */
export interface Replacement {
  readonly start: number;
  readonly end: number;
  readonly insert: string;
}

/** Returns the smallest replacement that turns `before` into `after`. */
export function diff(before: string, after: string): Replacement {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start] === after[start]) start += 1;
  if (cutsPair(before, start) || cutsPair(after, start)) start -= 1;
  let end = 0;
  while (end < shorter - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end += 1;
  if (cutsPair(before, before.length - end) || cutsPair(after, after.length - end)) end -= 1;
  return {
    start,
    end: before.length - end,
    insert: after.slice(start, after.length - end),
  };
}

/**
 * Changes `texts`, as little as possible, so that their concatenation is `wanted`. An embed (an image, a mention) has a
 * place in its text but is in no string: an embed outside of the replaced range stays.
 */
export function rewrite(texts: readonly Y.Text[], wanted: string): void {
  const contents = texts.map(String);
  const change = diff(contents.join(""), wanted.toWellFormed());
  let { insert } = change;
  let begin = 0;
  for (const [number, text] of texts.entries()) {
    const { length } = contents[number] as string;
    const start = Math.max(change.start - begin, 0);
    const stop = Math.min(change.end - begin, length);
    const takes = start < length || (start === length && number === texts.length - 1);
    const [first, last] = placesOf(text, length, start, Math.max(start, stop));
    if (stop > start) text.delete(first, last - first);
    if (takes && insert !== "") {
      text.insert(first, insert);
      insert = "";
    }
    begin += length;
  }
}

/**
 * Returns the places of a range of a text's string. The start of the range is after embeds at the start of the text,
 * and before embeds that follow another character; its end is right after its last character.
 */
function placesOf(text: Y.Text, length: number, start: number, stop: number): [number, number] {
  if (text.length === length) return [start, stop];
  let [first, last, walked, places] = [-1, -1, 0, 0];
  for (const { insert } of text.toDelta() as { readonly insert: unknown }[]) {
    const characters = typeof insert === "string" ? insert.length : 0;
    // A place at the border of two pieces is at the end of the first; a replaced range begins with its character.
    const isInside = (index: number): boolean => index <= walked + characters && characters > 0;
    if (first < 0 && isInside(start) && (stop === start || start < walked + characters))
      first = places + start - walked;
    if (last < 0 && isInside(stop)) last = places + stop - walked;
    walked += characters;
    places += characters || 1;
  }
  if (first < 0) first = places;
  return [first, Math.max(first, last)];
}

/** Returns whether a cut at `index` would separate a high surrogate from its low one. */
function cutsPair(text: string, index: number): boolean {
  if (index <= 0 || index >= text.length) return false;
  const high = text.charCodeAt(index - 1);
  const low = text.charCodeAt(index);
  return high >= 0xd800 && high <= 0xdbff && low >= 0xdc00 && low <= 0xdfff;
}
