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
 */
export function lostTexts(doc: Y.Doc, known: Clocks, writers: Iterable<number>): string[] {
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
        for (const value of item.content.arr)
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
