/**
 * Claims: keys that one page at a time holds, as long as it is connected. The server grants them in order of arrival.
 *
 * A page acts on a grant only when the server has stored it: else a crashed server could grant the same to another
 * page. A claim in this page's name that it doesn't hold (a release that a crash undid) is released.
 */

import { InvalidValue, NotAllowed } from "./errors.ts";
import { knownId } from "./identity.ts";
import { isObject, type Json, type JsonObject } from "./json.ts";
import { type Asking, ask, requestKey } from "./requests.ts";
import { listOf, mapOf, number, object, type Reader, string } from "./shapes.ts";
import type { Snapshots } from "./snapshots.ts";
import { type Awaited, waitFor } from "./waiting.ts";

/** The holder of a claim. */
export interface Holding {
  readonly by: string;
  /** The Yjs client that holds it: one page, one process. */
  readonly client: number;
  readonly epoch: number;
  readonly at?: string;
  readonly until?: string;
  readonly waiting?: readonly { readonly by: string; readonly client: number }[];
  readonly [field: string]: unknown;
}

/** A claim that this page holds. */
export interface Claim {
  readonly key: string;
  /** Larger at each grant: a store of the work done under a claim refuses a smaller epoch than it has seen. */
  readonly epoch: number;
  /** Resolves when the claim is held no longer, for any reason. */
  readonly lost: Promise<void>;
  release(): void;
}

export interface ClaimOptions {
  /** The longest time of the claim; claiming again renews it. */
  seconds?: number;
  /** Whether to wait in the queue while another page holds it. */
  wait?: boolean;
}

interface Of extends Awaited, Asking {}

interface Held {
  readonly claim: Claim;
  readonly client: number;
  readonly lose: () => void;
}

const CLAIMS: Reader = mapOf(
  object(
    {
      by: string,
      client: number,
      epoch: number,
      at: string,
      until: string,
      waiting: listOf(object({ by: string, client: number }, "by", "client")),
    },
    "by",
    "client",
    "epoch",
  ),
);

export class Claims {
  readonly #of: Of;
  readonly #snapshots: Snapshots;
  readonly #stored: () => Promise<void>;
  readonly #held = new Map<string, Held>();
  readonly #asked = new Set<string>();
  readonly #read = new WeakMap<object, Readonly<Record<string, Holding>>>();

  /** `stored` resolves when the server has stored all that this page has received from it. */
  constructor(of: Of, snapshots: Snapshots, stored: () => Promise<void>) {
    this.#of = of;
    this.#snapshots = snapshots;
    this.#stored = stored;
  }

  /** The holders by key; the same object as before when nothing changed. */
  get all(): Readonly<Record<string, Holding>> {
    const json = this.#snapshots.of(this.#of.doc.getMap("claims")) as JsonObject;
    const known = this.#read.get(json);
    if (known) return known;
    const read = CLAIMS(json) as Readonly<Record<string, Holding>>;
    this.#read.set(json, read);
    return read;
  }

  /** Requests a claim; null when another page holds it. */
  async ask(key: string, { seconds, wait = false }: ClaimOptions = {}): Promise<Claim | null> {
    if (seconds !== undefined && !(seconds > 0))
      throw new InvalidValue(`A claim is held for a number of seconds, not for ${String(seconds)}.`);
    const { doc, me } = this.#of;
    const request = requestKey("claim", [key, String(doc.clientID)], knownId(me));
    this.#asked.add(key);
    try {
      this.#ask("claim", key, { ...(seconds === undefined ? {} : { seconds }), ...(wait ? { wait } : {}) });
      const epoch = await waitFor(this.#of, ["change", "doc"], () => {
        if (this.#of.doc !== doc) return null;
        if (doc.getMap("requests").has(request)) return undefined;
        const fact = this.all[key];
        if (this.#isMine(fact)) return fact.epoch;
        return wait && this.#isWaiting(fact) ? undefined : null;
      });
      return epoch === null ? null : await this.#sure(key, epoch);
    } finally {
      this.#asked.delete(key);
    }
  }

  /** Returns whether this page still holds a claim. */
  holds(claim: Claim): boolean {
    return this.#held.get(claim.key)?.claim === claim;
  }

  /** Checks for claims that are held no longer, and for claims in this page's name that it doesn't hold. */
  look(): void {
    const { all } = this;
    for (const [key, { claim, client, lose }] of this.#held) {
      if (client !== this.#of.doc.clientID || !this.#isMine(all[key]) || all[key].epoch !== claim.epoch)
        lose();
    }
    for (const [key, fact] of Object.entries(all)) {
      const isUnknown = !this.#held.has(key) && !this.#asked.has(key);
      if (isUnknown && (this.#isMine(fact) || this.#isWaiting(fact))) this.#release(key);
    }
  }

  /** Ends all claims of this page. */
  end(): void {
    for (const { lose } of [...this.#held.values()]) lose();
  }

  /** Waits until the grant is stored. */
  async #sure(key: string, epoch: number): Promise<Claim | null> {
    const { claim } = this.#held.get(key) ?? this.#hold(key, epoch);
    const isStored = await Promise.race([this.#stored().then(() => true), claim.lost.then(() => false)]);
    return isStored ? claim : null;
  }

  #hold(key: string, epoch: number): Held {
    const { promise: lost, resolve } = Promise.withResolvers<void>();
    const lose = (): void => {
      if (this.#held.get(key) === held) this.#held.delete(key);
      resolve();
    };
    const release = (): void => {
      if (this.#held.get(key) !== held) return;
      lose();
      this.#release(key);
    };
    const held: Held = {
      claim: Object.freeze({ key, epoch, lost, release }),
      client: this.#of.doc.clientID,
      lose,
    };
    this.#held.set(key, held);
    return held;
  }

  #release(key: string): void {
    const { doc, me } = this.#of;
    const isAsked = doc.getMap("requests").has(requestKey("release", [key, String(doc.clientID)], me.id));
    try {
      if (!isAsked) this.#ask("release", key, {});
    } catch (error) {
      if (!(error instanceof NotAllowed)) throw error; // the server releases claims that this page may not hold
    }
  }

  #ask(kind: string, key: string, value: Json): void {
    ask(this.#of, kind, [key, String(this.#of.doc.clientID)], value);
  }

  #isMine(fact: Holding | undefined): fact is Holding {
    return isObject(fact) && fact.by === this.#of.me.id && fact.client === this.#of.doc.clientID;
  }

  #isWaiting(fact: Holding | undefined): boolean {
    const { doc, me } = this.#of;
    return fact?.waiting?.some(({ by, client }) => by === me.id && client === doc.clientID) ?? false;
  }
}
