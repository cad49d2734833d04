/** Selections: each participant's selection or focus, kept when they leave. Keys are `PARTICIPANT/NAME`. */

import type * as Y from "yjs";
import type { Context } from "./context.ts";
import { checkAllowed } from "./grants.ts";
import { knownId } from "./identity.ts";
import { checked, checkedId, type Json } from "./json.ts";
import { checkRecord, checkValue } from "./limits.ts";
import { decodeSegment, joinKey } from "./requests.ts";
import { transact } from "./transact.ts";

export class Selections {
  readonly #context: Context;
  readonly #own = new WeakMap<object, Map<string, Readonly<Record<string, Json>>>>();

  constructor(context: Context) {
    this.#context = context;
  }

  get y(): Y.Map<unknown> {
    return this.#context.doc.getMap("selections");
  }

  /** The selections of this page's participant, by name. */
  get mine(): Readonly<Record<string, Json>> {
    return this.of(this.#context.identity.id);
  }

  /** Sets a selection of this page's participant; null clears it. */
  set(name: string, value: Json): void {
    this.#context.checkOpen();
    const { doc, identity, limits } = this.#context;
    const key = joinKey(knownId(identity), checkedId(name, "The name of a selection"));
    const written = checked(value, "The selection");
    checkRecord([key, written], limits, "The selection");
    checkValue(written, limits, "The selection");
    checkAllowed(identity, "A selection", "select");
    transact(doc, () => {
      if (written !== null) this.y.set(key, written);
      else if (this.y.has(key)) this.y.delete(key);
    });
  }

  /** Clears a selection of this page's participant. */
  clear(name: string): void {
    this.set(name, null);
  }

  /** Returns a selection of a participant; undefined when there is none. */
  get(participant: string, name: string): Json | undefined {
    const own = this.of(participant);
    return Object.hasOwn(own, name) ? own[name] : undefined;
  }

  /** Returns the selections of a participant, by name; the same object as before when no selection changed. */
  of(participant: string): Readonly<Record<string, Json>> {
    const { json } = this;
    const read = this.#own.get(json) ?? new Map<string, Readonly<Record<string, Json>>>();
    this.#own.set(json, read);
    const known = read.get(participant);
    if (known) return known;
    const own: [string, Json][] = [];
    for (const [key, value] of Object.entries(json)) {
      const [owner, name, ...more] = key.split("/").map(decodeSegment);
      if (owner === participant.toWellFormed() && name !== undefined && more.length === 0)
        own.push([name, value]);
    }
    const selections = Object.freeze(Object.fromEntries(own));
    read.set(participant, selections);
    return selections;
  }

  /** All selections, by key; the same object as before when nothing changed. @internal */
  get json(): Readonly<Record<string, Json>> {
    return this.#context.snapshots.of(this.y) as Readonly<Record<string, Json>>;
  }
}
