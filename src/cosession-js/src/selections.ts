/** Selections: each participant's selection or focus, kept when they leave. Keys are `PARTICIPANT/NAME`. */

import type * as Y from "yjs";
import { knownId } from "./identity.ts";
import { checked, checkedId, type Json } from "./json.ts";
import { checkRecord, checkValue, type Limits } from "./limits.ts";
import { decodeSegment, joinKey } from "./requests.ts";
import type { Snapshots } from "./snapshots.ts";
import { transact } from "./transact.ts";

interface Of {
  readonly doc: Y.Doc;
  readonly me: { readonly id: string };
  readonly limits: Limits;
}

export class Selections {
  readonly #of: Of;
  readonly #snapshots: Snapshots;
  readonly #checkOpen: () => void;

  constructor(of: Of, snapshots: Snapshots, checkOpen: () => void) {
    this.#of = of;
    this.#snapshots = snapshots;
    this.#checkOpen = checkOpen;
  }

  get root(): Y.Map<unknown> {
    return this.#of.doc.getMap("selections");
  }

  /** Sets a selection of this page's participant. `null` removes it. */
  set(name: string, value: Json): void {
    this.#checkOpen();
    const key = joinKey(knownId(this.#of.me), checkedId(name, "The name of a selection"));
    const written = checked(value, "The selection");
    checkRecord([key, written], this.#of.limits, "The selection");
    checkValue(written, this.#of.limits, "The selection");
    transact(this.#of.doc, () => {
      if (written !== null) this.root.set(key, written);
      else if (this.root.has(key)) this.root.delete(key);
    });
  }

  get<Value = Json>(participant: string, name: string): Value | undefined {
    return this.root.get(joinKey(participant, name)) as Value | undefined;
  }

  /** Returns all selections of one participant, by name. */
  of(participant: string): Readonly<Record<string, Json>> {
    const own: [string, Json][] = [];
    for (const [key, value] of Object.entries(this.toJSON())) {
      const [owner, name, ...more] = key.split("/").map(decodeSegment);
      if (owner === participant.toWellFormed() && name !== undefined && more.length === 0)
        own.push([name, value]);
    }
    return Object.fromEntries(own);
  }

  /** Returns all selections, by key; the same object as before when nothing changed. */
  toJSON(): Readonly<Record<string, Json>> {
    return this.#snapshots.of(this.root) as Readonly<Record<string, Json>>;
  }
}
