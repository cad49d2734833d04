/**
 * What was lost: the words of a document that the server has not.
 *
 * Read from the items of the document, since that is exact: what the server lacks are the clocks that its state vector
 * doesn't have. What is deleted isn't lost. Of plain values only what people write counts: the shared state's, and texts,
 * titles and reasons anywhere; ids, times and names of roles would tell nobody anything.
 */

import * as Y from "yjs";
import { isObject } from "./json.ts";

/** Up to which clock the server has each client; of clients that aren't in it, it has nothing. */
export type Clocks = ReadonlyMap<number, number>;

// biome-ignore lint/suspicious/noExplicitAny: a Y.AbstractType of any events
type Shared = Y.AbstractType<any>;

const WORDS: ReadonlySet<unknown> = new Set(["text", "title", "reason"]);

/**
 * The texts of some writers that only this document has, one for each place, in the order in which they were begun.
 *
 * @param known - what the server has
 * @param writers - whose texts
 * @param fresh - the server's document, where it is known: a value that was set back to what stands there isn't lost
 */
export function lostTexts(doc: Y.Doc, known: Clocks, writers: Iterable<number>, fresh?: Y.Doc): string[] {
  const found: string[] = [];
  const read = new Set<Shared>();
  const theirs = new Set(writers);
  for (const client of theirs) {
    const from = known.get(client) ?? 0;
    for (const item of doc.store.clients.get(client) ?? []) {
      if (!(item instanceof Y.Item) || item.deleted || item.id.clock + item.length <= from) continue;
      const parent = item.parent as Shared;
      if (item.content instanceof Y.ContentString) {
        if (!read.has(parent)) found.push(textOf(parent, known, theirs));
        read.add(parent);
      } else if (item.content instanceof Y.ContentAny) {
        const key = item.parentSub;
        const isSaid = rootOf(parent) === doc.share.get("state");
        if (key !== null && fresh && stands(fresh, parent, key, item.content.arr.at(-1))) continue;
        for (const value of item.content.arr.slice(Math.max(from - item.id.clock, 0)))
          found.push(...words(key === null ? value : { [key]: value }, isSaid));
      }
    }
  }
  return found.filter((text) => text.trim() !== "");
}

/** What some have written of a shared text that the server lacks, in its order. */
function textOf(parent: Shared, known: Clocks, writers: ReadonlySet<number>): string {
  let text = "";
  for (let item = parent._start; item !== null; item = item.right) {
    if (item.deleted || !(item.content instanceof Y.ContentString) || !writers.has(item.id.client)) continue;
    const from = (known.get(item.id.client) ?? 0) - item.id.clock;
    text += item.content.str.slice(Math.max(from, 0));
  }
  return text;
}

/** Whether a document has a value at the key where another document has it in `parent`. */
function stands(fresh: Y.Doc, parent: Shared, key: string, value: unknown): boolean {
  const item = sameIn(fresh, parent)?._map.get(key);
  if (item === undefined || item.deleted) return false;
  return JSON.stringify(item.content.getContent().at(-1)) === JSON.stringify(value);
}

/** What a shared type of another document is in this one. */
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
