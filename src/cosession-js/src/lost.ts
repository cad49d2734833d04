/**
 * Lost texts: the texts of a document that the server lacks.
 *
 * They are read from the items of the document, since that is exact. The server lacks the clocks that are not in its
 * state vector, and the clocks that it has as deleted without a fence that vouched for them: it keeps the clocks of
 * refused changes, without their content. Content that is deleted here isn't lost. Of plain values only texts that
 * people write count: those of the shared state, and texts, titles and reasons anywhere; ids, times and names of roles
 * don't help a reader.
 */

import * as Y from "yjs";
import { isObject } from "./json.ts";

/** The clocks from `start` up to `stop`, exclusive. */
export interface Span {
  readonly start: number;
  readonly stop: number;
}

/** Returns the clocks of a client that the server lacks, in order. */
export type Missing = (client: number) => readonly Span[];

// biome-ignore lint/suspicious/noExplicitAny: a Y.AbstractType of any events
type Shared = Y.AbstractType<any>;

const WORDS: ReadonlySet<unknown> = new Set(["text", "title", "reason"]);

/** Returns as missing: the clocks of each client from a given one on, and all clocks of other clients. */
export function missingFrom(known: ReadonlyMap<number, number>): Missing {
  return (client) => [{ start: known.get(client) ?? 0, stop: Infinity }];
}

/**
 * Returns the clocks that a server lacks, or has refused.
 *
 * @param fresh - the server's document
 * @param saved - the clock up to which each client's changes are saved; deleted clocks beyond it were refused
 */
export function missingIn(fresh: Y.Doc, saved: ReadonlyMap<number, number>): Missing {
  return (client) => {
    const from = saved.get(client) ?? 0;
    const spans: Span[] = [];
    for (const struct of fresh.store.clients.get(client) ?? []) {
      const stop = struct.id.clock + struct.length;
      if (struct.deleted && stop > from) spans.push({ start: Math.max(struct.id.clock, from), stop });
    }
    return [...spans, { start: Y.getState(fresh.store, client), stop: Infinity }];
  };
}

/**
 * Returns the texts of some writers that only this document has, one for each place, in the order of their beginning.
 *
 * @param missing - the clocks that the server lacks
 * @param writers - the clients that wrote the texts
 * @param fresh - the server's document, if it is known: a value that was set back to the server's value isn't lost
 */
export function lostTexts(doc: Y.Doc, missing: Missing, writers: Iterable<number>, fresh?: Y.Doc): string[] {
  const found: string[] = [];
  const read = new Set<Shared>();
  const spans = new Map([...writers].map((client) => [client, missing(client)]));
  for (const client of spans.keys()) {
    for (const item of doc.store.clients.get(client) ?? []) {
      const ranges = item instanceof Y.Item ? lostOf(item, spans) : [];
      if (!(item instanceof Y.Item) || ranges.length === 0) continue;
      const parent = item.parent as Shared;
      if (item.content instanceof Y.ContentString) {
        if (!read.has(parent)) found.push(textOf(parent, spans));
        read.add(parent);
      } else if (item.content instanceof Y.ContentAny) {
        const key = item.parentSub;
        const isSaid = rootOf(parent) === doc.share.get("state");
        if (key !== null && fresh && stands(fresh, parent, key, item.content.arr.at(-1))) continue;
        for (const { start, stop } of ranges)
          for (const value of item.content.arr.slice(start, stop))
            found.push(...words(key === null ? value : { [key]: value }, isSaid));
      }
    }
  }
  return found.filter((text) => text.trim() !== "");
}

/** Returns the places in an item that the server lacks, from 0 on; none in a deleted item, or of another writer. */
function lostOf(item: Y.Item, missing: ReadonlyMap<number, readonly Span[]>): Span[] {
  const spans = missing.get(item.id.client);
  if (spans === undefined || item.deleted) return [];
  const { clock } = item.id;
  let [low, high] = [0, spans.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((spans[middle] as Span).stop <= clock) low = middle + 1;
    else high = middle;
  }
  const found: Span[] = [];
  for (let span = spans[low]; span !== undefined && span.start < clock + item.length; span = spans[++low])
    found.push({ start: Math.max(span.start - clock, 0), stop: Math.min(span.stop - clock, item.length) });
  return found;
}

/** Returns the parts of a shared text that the server lacks, in their order. */
function textOf(parent: Shared, missing: ReadonlyMap<number, readonly Span[]>): string {
  let text = "";
  for (let item = parent._start; item !== null; item = item.right) {
    if (!(item.content instanceof Y.ContentString)) continue;
    for (const { start, stop } of lostOf(item, missing)) text += item.content.str.slice(start, stop);
  }
  return text;
}

/** Returns whether a document has a value at the key where another document has it in `parent`. */
function stands(fresh: Y.Doc, parent: Shared, key: string, value: unknown): boolean {
  const item = sameIn(fresh, parent)?._map.get(key);
  if (item === undefined || item.deleted) return false;
  return JSON.stringify(item.content.getContent().at(-1)) === JSON.stringify(value);
}

/** Returns the counterpart in one document of a shared type of another. */
function sameIn(fresh: Y.Doc, type: Shared): Shared | undefined {
  if (type._item === null) return fresh.share.get(Y.findRootTypeKey(type));
  const { id } = type._item;
  if (Y.getState(fresh.store, id.client) <= id.clock) return undefined;
  const item: unknown = Y.getItem(fresh.store, id);
  return item instanceof Y.Item && item.content instanceof Y.ContentType ? item.content.type : undefined;
}

function words(value: unknown, isSaid: boolean): string[] {
  if (typeof value === "string") return isSaid ? [value] : [];
  if (Array.isArray(value)) return value.flatMap((each) => words(each, isSaid));
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([key, each]) => words(each, isSaid || WORDS.has(key)));
}

function rootOf(type: Shared): unknown {
  let root = type;
  while (root.parent) root = root.parent as Shared;
  return root;
}
