/**
 * Requests that may have to be repeated, because a server may lose its answer in a crash after this page received it.
 *
 * The answer removes the request, in this copy too, and only the server may write it; so when the server restarts
 * without both, no client could restore the request. A request is kept here until a fence vouches for its answer.
 * Repeating it has no further effect: a steer has an id, a run is cancelled once, and of votes and policies the last
 * one counts. Requests that name a Yjs client (claims, answers of tools) are not repeated: the fresh document has
 * another client id.
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

  /** Returns the requests that were answered here, and are not answered in `fresh`, the server's document. */
  taken(fresh: Y.Doc): readonly (readonly [key: string, value: Json])[] {
    const [waiting, there] = [this.#doc.getMap("requests"), fresh.getMap("requests")];
    return this.#unsaved().flatMap(([key, { value }]) => {
      const again = waiting.has(key) || there.has(key) ? undefined : this.#asAnswered(key, value);
      return again === undefined ? [] : [[key, again] as const];
    });
  }

  /** Returns a vote with the value that it counted for, as another may be shown now; undefined if it didn't count. */
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
