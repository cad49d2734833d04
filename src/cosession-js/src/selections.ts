/** Selections: what each participant has selected or focused, kept when they leave. Keys are `PARTICIPANT/NAME`. */

import type * as Y from "yjs";
import type { Json } from "./json.ts";
import { encodeSegment } from "./requests.ts";
import type { Snapshots } from "./snapshots.ts";

export class Selections {
  readonly root: Y.Map<unknown>;
  readonly #snapshots: Snapshots;
  readonly #me: string;

  constructor(root: Y.Map<unknown>, snapshots: Snapshots, me: string) {
    this.root = root;
    this.#snapshots = snapshots;
    this.#me = me;
  }

  /** Says what oneself has selected. `null` takes the selection back. */
  set(name: string, value: Json): void {
    const key = keyOf(this.#me, name);
    if (value !== null) this.root.set(key, value);
    else if (this.root.has(key)) this.root.delete(key);
  }

  get<Value = Json>(participant: string, name: string): Value | undefined {
    return this.root.get(keyOf(participant, name)) as Value | undefined;
  }

  /** All selections of one participant, by name. */
  of(participant: string): Readonly<Record<string, Json>> {
    const own = `${encodeSegment(participant)}/`;
    const entries = Object.entries(this.toJSON()).filter(([key]) => key.startsWith(own));
    return Object.fromEntries(
      entries.map(([key, value]) => [decodeURIComponent(key.slice(own.length)), value]),
    );
  }

  /** Everything, by key; the same object as before when nothing changed. */
  toJSON(): Readonly<Record<string, Json>> {
    return this.#snapshots.of(this.root) as Readonly<Record<string, Json>>;
  }
}

function keyOf(participant: string, name: string): string {
  return `${encodeSegment(participant)}/${encodeSegment(name)}`;
}
