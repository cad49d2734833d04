/**
 * The queue: prompts that wait for their turn; participants with the capability edit and reorder them.
 *
 * An entry keeps its position in the list for ever; its `place`, a number, orders the queue: otherwise two participants
 * that move the same entry would duplicate it.
 */

import * as Y from "yjs";
import type { Context } from "./context.ts";
import { Conflict, InvalidValue, NotFound } from "./errors.ts";
import { checkAllowed } from "./grants.ts";
import { type Group, Index } from "./group.ts";
import { knownId } from "./identity.ts";
import { freshId } from "./ids.ts";
import { checkedId, checkedIds, checkedText, isObject } from "./json.ts";
import { checkRecord } from "./limits.ts";
import { listOf, number, object, type Reader, string } from "./shapes.ts";
import { SharedText } from "./text.ts";
import { now } from "./time.ts";
import { transact } from "./transact.ts";

/** The longest prompt that may wait: the server copies it in one step when its turn comes, and skips a longer one. */
const MAX_PROMPT_BYTES = 2 ** 22;

export interface QueuedPrompt {
  /** Also the id of the later message. */
  readonly id: string;
  readonly author: string;
  readonly text: string;
  /** The agents that are asked; if empty, the session's policy decides. */
  readonly to: readonly string[];
  readonly createdAt: string;
}

/** A prompt as it is stored. */
interface Stored {
  readonly id: string;
  readonly author?: string;
  readonly created_at?: string;
  readonly text?: string;
  readonly place?: number;
  readonly to?: readonly string[];
}

const ENTRY: Reader = object(
  { id: string, author: string, created_at: string, text: string, place: number, to: listOf(string) },
  "id",
);

/** The waiting prompts, the next one first. */
export class Queue implements Group<QueuedPrompt> {
  readonly #context: Context;
  readonly #lists = new WeakMap<object, readonly Placed[]>();
  readonly #prompts = new WeakMap<readonly Placed[], readonly QueuedPrompt[]>();
  readonly #index = new Index<QueuedPrompt>();

  constructor(context: Context) {
    this.#context = context;
  }

  get y(): Y.Array<Y.Map<unknown>> {
    return this.#context.doc.getArray("queue");
  }

  /** The waiting prompts; the same list as before when nothing changed. */
  get all(): readonly QueuedPrompt[] {
    const placed = this.#placed;
    const known = this.#prompts.get(placed);
    if (known) return known;
    const prompts = Object.freeze(placed.map(({ prompt }) => prompt));
    this.#prompts.set(placed, prompts);
    return prompts;
  }

  get(id: string): QueuedPrompt | undefined {
    return this.#index.get(this.all, id);
  }

  [Symbol.iterator](): Iterator<QueuedPrompt> {
    return this.all[Symbol.iterator]();
  }

  /**
   * Adds a prompt at the end, and returns it.
   *
   * @param options - `id`: makes the call repeatable; `to`: the agents that are asked
   * @throws Conflict when another prompt has the id
   */
  add(text: string, options: { id?: string; to?: readonly string[] } = {}): QueuedPrompt {
    const { doc, identity, limits } = this.#context;
    this.#context.checkOpen();
    const written = checkedText(text, "The text of a prompt");
    const size = new TextEncoder().encode(written).length;
    if (size > MAX_PROMPT_BYTES)
      throw new InvalidValue(
        `A prompt in the queue has at most ${MAX_PROMPT_BYTES} bytes, this one ${size}; send it as a message.`,
      );
    const id = options.id === undefined ? freshId("msg") : checkedId(options.id, "The id of a prompt");
    const agents = checkedIds(options.to ?? [], "The agents that are asked");
    checkRecord([id, written, ...agents], limits, "The prompt");
    checkAllowed(identity, "A prompt", "prompt");
    const known = options.id === undefined ? undefined : this.get(id);
    if (known !== undefined && known.text === written) return known;
    if (known !== undefined) throw new Conflict(`Another prompt with the id ${id} waits in the queue.`);
    const fields: Record<string, unknown> = {
      id,
      author: knownId(identity),
      created_at: now(),
      text: new Y.Text(written),
      place: (this.#placed.at(-1)?.place ?? 0) + 1,
      ...(agents.length > 0 ? { to: agents } : {}),
    };
    transact(doc, () => this.y.push([new Y.Map(Object.entries(fields))]));
    return this.get(id) as QueuedPrompt;
  }

  /**
   * Returns the shared text of a prompt, for editing.
   *
   * @throws NotFound when the prompt isn't in the queue, also later, when its turn has come
   */
  text(id: string): SharedText {
    const find = (): Y.Text => {
      const text = this.#find(id).get("text");
      if (text instanceof Y.Text) return text;
      throw new InvalidValue(`The prompt ${id} has no text: it wasn't written as a prompt.`);
    };
    find();
    return new SharedText(this.#context, find);
  }

  /** Moves a prompt to an index; 0 is next. */
  move(id: string, index: number): void {
    this.#context.checkOpen();
    if (!Number.isInteger(index))
      throw new InvalidValue(
        `A prompt moves to a place in the queue, a whole number, not to ${String(index)}.`,
      );
    const entry = this.#find(id);
    const others = this.#placed.filter((other) => other.id !== id);
    const at = Math.max(0, Math.min(index, others.length));
    const [last, next] = [others[at - 1], others[at]];
    const before = last?.place ?? (next?.place ?? 2) - 2;
    const after = next?.place ?? before + 2;
    const place = (before + after) / 2;
    transact(this.#context.doc, () => {
      if (before < place && place < after) entry.set("place", place);
      else this.#number([...others.slice(0, at).map(idOf), id, ...others.slice(at).map(idOf)]);
    });
  }

  /** Removes a prompt; does nothing when it isn't in the queue. */
  remove(id: string): void {
    this.#context.checkOpen();
    const index = this.y.toArray().findIndex((entry) => entry instanceof Y.Map && entry.get("id") === id);
    if (index >= 0) transact(this.#context.doc, () => this.y.delete(index));
  }

  get #placed(): readonly Placed[] {
    const json = this.#context.snapshots.of(this.y) as readonly unknown[];
    const known = this.#lists.get(json);
    if (known) return known;
    const list = Object.freeze(json.flatMap((each) => read(each) ?? []).sort(byPlace));
    this.#lists.set(json, list);
    return list;
  }

  #number(ids: readonly string[]): void {
    for (const [number, id] of ids.entries()) this.#find(id).set("place", number + 1);
  }

  #find(id: string): Y.Map<unknown> {
    for (const entry of this.y) if (entry instanceof Y.Map && entry.get("id") === id) return entry;
    throw new NotFound(`There is no prompt ${id} in the queue.`, { kind: "prompt", id });
  }
}

/** A prompt, and the number by which the queue is sorted. */
interface Placed {
  readonly id: string;
  readonly place: number;
  readonly prompt: QueuedPrompt;
}

const prompts = new WeakMap<object, Placed>();

function read(json: unknown): Placed | undefined {
  const entry = isObject(json) ? (ENTRY(json) as Stored | undefined) : undefined;
  if (entry === undefined) return undefined;
  const known = prompts.get(json as object);
  if (known) return known;
  const { id, author = "", text = "", to = [], created_at: createdAt = "", place = 0 } = entry;
  const placed = { id, place, prompt: Object.freeze({ id, author, text, to, createdAt }) };
  prompts.set(json as object, placed);
  return placed;
}

function idOf({ id }: Placed): string {
  return id;
}

function byPlace(first: Placed, second: Placed): number {
  return first.place - second.place || (first.id < second.id ? -1 : 1);
}
