/**
 * Wishes that may have to be asked again, because a crash can take the server's answer after it was seen here.
 *
 * The answer takes the request away, in this copy too, and only the server may write it; so when the server comes back
 * without both, nobody could bring the wish back. What was asked here is kept until a fence vouches for it. Asked twice
 * it happens once: a steer has an id, a run is cancelled once, and of votes and policies the last one counts. What names
 * a Yjs client (claims, answers of tools) is not asked again: the fresh document's is another one.
 */

import * as Y from "yjs";
import type { Fences } from "./fences.ts";
import { isObject, type Json } from "./json.ts";
import { decodeSegment } from "./requests.ts";

const AGAIN: ReadonlySet<string> = new Set(["cancel", "policy", "steer", "vote"]);

export class Asked {
  readonly #doc: Y.Doc;
  readonly #fences: Fences;
  #wishes = new Map<string, { readonly value: Json; readonly edit: number }>();

  constructor(doc: Y.Doc, fences: Fences) {
    this.#doc = doc;
    this.#fences = fences;
    doc.getMap<Json>("requests").observe(({ keysChanged, target, transaction }) => {
      if (!transaction.local) return;
      this.#wishes = new Map(this.#unsaved());
      for (const key of keysChanged) {
        const value = target.get(key);
        if (value !== undefined && AGAIN.has(kindOf(key)))
          this.#wishes.set(key, { value, edit: fences.edits });
      }
    });
  }

  /** The wishes whose answer was seen here, and that aren't in `fresh`, the server's document. */
  taken(fresh: Y.Doc): readonly (readonly [key: string, value: Json])[] {
    const [waiting, there] = [this.#doc.getMap("requests"), fresh.getMap("requests")];
    return this.#unsaved().flatMap(([key, { value }]) => {
      const again = waiting.has(key) || there.has(key) ? undefined : this.#asAnswered(key, value);
      return again === undefined ? [] : [[key, again] as const];
    });
  }

  /** A vote is for what was shown then, and another value may be shown now; one that didn't count is none. */
  #asAnswered(key: string, value: Json): Json | undefined {
    if (kindOf(key) !== "vote") return value;
    const [, id = "", participant = ""] = key.split("/").map(decodeSegment);
    const approval = this.#doc.getMap("approvals").get(id);
    const votes = approval instanceof Y.Map ? approval.get("votes") : undefined;
    const vote: unknown = votes instanceof Y.Map ? votes.get(participant) : undefined;
    return isObject(vote) ? ({ decision: vote.decision, value: vote.value } as Json) : undefined;
  }

  #unsaved() {
    return [...this.#wishes].filter(([, { edit }]) => !this.#fences.hasSaved(edit));
  }
}

function kindOf(key: string): string {
  return key.slice(0, key.indexOf("/"));
}
