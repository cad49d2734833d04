/**
 * Counters: concurrent writes of `n + 1` lose one, so each writer has its own key, and the value is the sum.
 *
 * Keys are `NAME/PARTICIPANT/DEVICE`. The device is the Yjs client id: no two pages ever share one, also not two tabs.
 */

import type * as Y from "yjs";
import type { Context } from "./context.ts";
import { InvalidValue } from "./errors.ts";
import { checkAllowed } from "./grants.ts";
import { knownId } from "./identity.ts";
import { checkedId } from "./json.ts";
import { checkRecord } from "./limits.ts";
import { decodeSegment, joinKey } from "./requests.ts";
import { transact } from "./transact.ts";

export class Counters {
  readonly #context: Context;
  readonly #sums = new WeakMap<object, Readonly<Record<string, number>>>();

  constructor(context: Context) {
    this.#context = context;
  }

  get y(): Y.Map<unknown> {
    return this.#context.doc.getMap("counters");
  }

  /** Adds to a counter; a negative amount subtracts. */
  add(name: string, amount = 1): void {
    this.#context.checkOpen();
    if (!Number.isFinite(amount)) throw new InvalidValue(`A counter adds numbers, not ${String(amount)}.`);
    const { doc, identity, limits } = this.#context;
    const key = joinKey(checkedId(name, "The name of a counter"), knownId(identity), String(doc.clientID));
    const sum = numberOf(this.y.get(key)) + amount;
    if (!Number.isFinite(sum)) throw new InvalidValue(`The counter ${name} can't hold so large a number.`);
    checkRecord([key, sum], limits, "The counter");
    checkAllowed(identity, "Counting", "count");
    transact(doc, () => this.y.set(key, sum));
  }

  /** Returns the value of a counter; 0 when no participant has added anything. */
  get(name: string): number {
    const sums = this.all;
    return Object.hasOwn(sums, name) ? (sums[name] as number) : 0;
  }

  /**
   * The value of every counter, by name; the same object as before when nothing changed. A sum beyond the range
   * of numbers is the largest one. Keys are added in their order, so that all clients have the same sum.
   */
  get all(): Readonly<Record<string, number>> {
    const json = this.#context.snapshots.of(this.y) as Readonly<Record<string, unknown>>;
    const known = this.#sums.get(json);
    if (known) return known;
    const sums = new Map<string, number>();
    for (const key of Object.keys(json).sort()) {
      const name = decodeSegment(key.split("/")[0] as string);
      const sum = (sums.get(name) ?? 0) + numberOf(json[key]);
      sums.set(name, Math.min(Math.max(sum, -Number.MAX_VALUE), Number.MAX_VALUE));
    }
    const read = Object.freeze(Object.fromEntries(sums));
    this.#sums.set(json, read);
    return read;
  }
}

function numberOf(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}
