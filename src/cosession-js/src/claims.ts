/// <reference lib="esnext.disposable" preserve="true" />

/**
 * Claims: keys that one page at a time holds, as long as it is connected. The server grants them in order of arrival.
 *
 * A page acts on a grant only when the server has stored it: else a crashed server could grant the same to another
 * page. A claim in this page's name that it doesn't hold (a release that a crash undid) is released.
 */

import type * as Y from "yjs";
import type { Context } from "./context.ts";
import { ClaimHeld, ClaimLost, InvalidValue, NotAllowed } from "./errors.ts";
import type { Group } from "./group.ts";
import { knownId } from "./identity.ts";
import { checkedId, isObject, type Json, type JsonObject } from "./json.ts";
import { ask, requestKey } from "./requests.ts";
import { listOf, mapOf, number, object, type Reader, string } from "./shapes.ts";
import { waitFor } from "./waiting.ts";

/** A claim that a page or process holds. */
export interface Holding {
  readonly key: string;
  /** The participant that holds it. */
  readonly by: string;
  readonly epoch: number;
  readonly at: string;
  /** When it ends by itself; null when it doesn't. */
  readonly until: string | null;
  /** The participants that wait for it, in order. */
  readonly waiting: readonly string[];
  /** Whether this page holds it. */
  readonly mine: boolean;
}

/** A claim that this page holds, until it is released: `await using claim = await session.claim("door")`. */
export interface Claim extends AsyncDisposable {
  readonly key: string;
  /** Larger at each grant: a store of the work done under a claim refuses a smaller epoch than it has seen. */
  readonly epoch: number;
  /** Checks that this page still holds it; throws `ClaimLost` when it doesn't, or can't know. */
  check(): void;
  release(): void;
  /** Resolves when it is held no longer, for any reason. */
  waitLost(): Promise<void>;
}

export interface ClaimOptions {
  /** The longest time of the claim; claiming again renews it. */
  seconds?: number | undefined;
  /** Whether to wait in the queue while another page holds it. */
  wait?: boolean | undefined;
}

/** A holding as it is stored. */
interface Fact {
  readonly by: string;
  /** The Yjs client that holds it: one page, one process. */
  readonly client: number;
  readonly epoch: number;
  readonly at?: string;
  readonly until?: string;
  readonly waiting?: readonly { readonly by: string; readonly client: number }[];
}

/** The time for which a claim is certain without a connection: half of the server's grace. */
const AWAY_SECONDS = 7.5;

interface Held {
  readonly claim: Claim;
  readonly client: number;
  readonly lost: Promise<void>;
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

/** The claims that are held now. */
export class Claims implements Group<Holding> {
  readonly #context: Context;
  readonly #stored: () => Promise<void>;
  readonly #awaySeconds: () => number;
  readonly #held = new Map<string, Held>();
  readonly #asked = new Set<string>();
  readonly #facts = new WeakMap<object, ReadonlyMap<string, Fact>>();
  readonly #holdings = new WeakMap<Fact, Holding>();
  #of: ReadonlyMap<string, Fact> | null = null;
  #byKey: ReadonlyMap<string, Holding> = new Map();
  #all: readonly Holding[] = Object.freeze([]);

  /**
   * `stored` resolves when the server has stored all that this page has received from it; `awaySeconds` returns how long
   * this page has been without a connection.
   */
  constructor(context: Context, stored: () => Promise<void>, awaySeconds: () => number) {
    this.#context = context;
    this.#stored = stored;
    this.#awaySeconds = awaySeconds;
  }

  get y(): Y.Map<unknown> {
    return this.#context.doc.getMap("claims");
  }

  /** The holders, by key; the same list as before when nothing changed. */
  get all(): readonly Holding[] {
    this.#read();
    return this.#all;
  }

  /** Returns the holder of a key; undefined when no page holds it. */
  get(key: string): Holding | undefined {
    this.#read();
    return this.#byKey.get(key);
  }

  [Symbol.iterator](): Iterator<Holding> {
    return this.all[Symbol.iterator]();
  }

  /** Requests a claim; throws `ClaimHeld` when another page holds it. @internal */
  async take(key: string, options: ClaimOptions): Promise<Claim> {
    this.#context.checkOpen();
    const claim = await this.obtain(checkedId(key, "The key of a claim"), options);
    if (claim !== null) return claim;
    const by = this.get(key)?.by ?? null;
    throw new ClaimHeld(
      `${by ?? "Another page"} holds \`${key}\`; wait for it with \`wait\`, or do without.`,
      by,
    );
  }

  /** Requests a claim; null when another page holds it. @internal */
  async obtain(key: string, { seconds, wait = false }: ClaimOptions = {}): Promise<Claim | null> {
    if (seconds !== undefined && !(seconds > 0))
      throw new InvalidValue(`A claim is held for a number of seconds, not for ${String(seconds)}.`);
    const { doc, identity } = this.#context;
    const request = requestKey("claim", [key, String(doc.clientID)], knownId(identity));
    this.#asked.add(key);
    try {
      this.#ask("claim", key, { ...(seconds === undefined ? {} : { seconds }), ...(wait ? { wait } : {}) });
      const epoch = await waitFor(this.#context, ["change", "doc"], () => {
        if (this.#context.doc !== doc) return null;
        if (doc.getMap("requests").has(request)) return undefined;
        const fact = this.#now.get(key);
        if (this.#isMine(fact)) return fact.epoch;
        return wait && this.#isWaiting(fact) ? undefined : null;
      });
      return epoch === null ? null : await this.#sure(key, epoch);
    } finally {
      this.#asked.delete(key);
    }
  }

  /** Returns whether this page still holds a claim. @internal */
  holds(claim: Claim): boolean {
    return this.#held.get(claim.key)?.claim === claim;
  }

  /** Checks for claims that are held no longer, and for claims in this page's name that it doesn't hold. @internal */
  look(): void {
    const facts = this.#now;
    for (const [key, { claim, client, lose }] of this.#held) {
      const fact = facts.get(key);
      if (client !== this.#context.doc.clientID || !this.#isMine(fact) || fact.epoch !== claim.epoch) lose();
    }
    for (const [key, fact] of facts) {
      const isUnknown = !this.#held.has(key) && !this.#asked.has(key);
      if (isUnknown && (this.#isMine(fact) || this.#isWaiting(fact))) this.#release(key);
    }
  }

  /** Ends all claims of this page. @internal */
  end(): void {
    for (const { lose } of [...this.#held.values()]) lose();
  }

  /** Waits until the grant is stored. */
  async #sure(key: string, epoch: number): Promise<Claim | null> {
    const { claim, lost } = this.#held.get(key) ?? this.#hold(key, epoch);
    const isStored = await Promise.race([this.#stored().then(() => true), lost.then(() => false)]);
    return isStored ? claim : null;
  }

  #hold(key: string, epoch: number): Held {
    const { promise: lost, resolve } = Promise.withResolvers<void>();
    const isHeld = (): boolean => this.#held.get(key) === held;
    const lose = (): void => {
      if (isHeld()) this.#held.delete(key);
      resolve();
    };
    const release = (): void => {
      if (!isHeld()) return;
      lose();
      this.#release(key);
    };
    const check = (): void => {
      if (!isHeld()) throw new ClaimLost(`This page doesn't hold \`${key}\` any more; stop acting on it.`);
      if (this.#awaySeconds() > AWAY_SECONDS)
        throw new ClaimLost(`Whether this page holds \`${key}\` can't be known without a connection.`);
    };
    const claim: Claim = Object.freeze({
      key,
      epoch,
      check,
      release,
      waitLost: () => lost,
      [Symbol.asyncDispose]: async () => release(),
    });
    const held: Held = { claim, client: this.#context.doc.clientID, lost, lose };
    this.#held.set(key, held);
    return held;
  }

  #release(key: string): void {
    const { doc, identity } = this.#context;
    const request = requestKey("release", [key, String(doc.clientID)], identity.id);
    try {
      if (!doc.getMap("requests").has(request)) this.#ask("release", key, {});
    } catch (error) {
      if (!(error instanceof NotAllowed)) throw error; // the server releases claims that this page may not hold
    }
  }

  #ask(kind: string, key: string, value: Json): void {
    ask(this.#context, kind, [key, String(this.#context.doc.clientID)], value);
  }

  /** The holdings as they are stored, by key. */
  get #now(): ReadonlyMap<string, Fact> {
    const json = this.#context.snapshots.of(this.y) as JsonObject;
    const known = this.#facts.get(json);
    if (known) return known;
    const read = new Map(Object.entries(CLAIMS(json) as Readonly<Record<string, Fact>>));
    this.#facts.set(json, read);
    return read;
  }

  #read(): void {
    const facts = this.#now;
    if (facts === this.#of) return;
    this.#of = facts;
    const entries = [...facts].map(([key, fact]) => [key, this.#holding(key, fact)] as const);
    this.#byKey = new Map(entries);
    this.#all = Object.freeze(entries.map(([, holding]) => holding));
  }

  #holding(key: string, fact: Fact): Holding {
    const known = this.#holdings.get(fact);
    if (known) return known;
    const { by, epoch, at = "", until = null, waiting = [] } = fact;
    const names = Object.freeze(waiting.map((each) => each.by));
    const mine = this.#isMine(fact);
    const holding = Object.freeze({ key, by, epoch, at, until, waiting: names, mine });
    this.#holdings.set(fact, holding);
    return holding;
  }

  #isMine(fact: Fact | undefined): fact is Fact {
    const { doc, identity } = this.#context;
    return isObject(fact) && fact.by === identity.id && fact.client === doc.clientID;
  }

  #isWaiting(fact: Fact | undefined): boolean {
    const { doc, identity } = this.#context;
    return fact?.waiting?.some(({ by, client }) => by === identity.id && client === doc.clientID) ?? false;
  }
}
