/**
 * The queue: prompts that wait for their turn; participants with the capability edit and reorder them.
 *
 * An entry keeps its position in the list for ever; its `place`, a number, orders the queue: otherwise two participants
 * that move the same entry would duplicate it.
 */

import * as Y from "yjs";
import { InvalidValue, NotFound } from "./errors.ts";
import { knownId } from "./identity.ts";
import { freshId } from "./ids.ts";
import { checkedIds, checkedText, isObject } from "./json.ts";
import { checkRecord, type Limits } from "./limits.ts";
import { listOf, number, object, type Reader, string } from "./shapes.ts";
import type { Snapshots } from "./snapshots.ts";
import { transact } from "./transact.ts";

/** The longest prompt that may wait: the server copies it in one step when its turn comes, and skips a longer one. */
const MAX_PROMPT_BYTES = 2 ** 22;

export interface QueuedPrompt {
  readonly id: string;
  readonly author?: string;
  readonly created_at?: string;
  readonly text: string;
  readonly place: number;
  /** The agents that are asked; if empty or missing, the session's policy decides. */
  readonly to?: readonly string[];
}

interface Of {
  readonly doc: Y.Doc;
  readonly me: { readonly id: string };
  readonly limits: Limits;
}

const ENTRY: Reader = object(
  { id: string, author: string, created_at: string, text: string, place: number, to: listOf(string) },
  "id",
);

export class Queue {
  readonly #of: Of;
  readonly #snapshots: Snapshots;
  readonly #checkOpen: () => void;
  readonly #lists = new WeakMap<object, readonly QueuedPrompt[]>();

  constructor(of: Of, snapshots: Snapshots, checkOpen: () => void) {
    this.#of = of;
    this.#snapshots = snapshots;
    this.#checkOpen = checkOpen;
  }

  get root(): Y.Array<Y.Map<unknown>> {
    return this.#of.doc.getArray("queue");
  }

  /** The waiting prompts, the next one first; the same list as before when nothing changed. */
  get list(): readonly QueuedPrompt[] {
    const json = this.#snapshots.of(this.root) as readonly unknown[];
    const known = this.#lists.get(json);
    if (known) return known;
    const list = Object.freeze(json.flatMap((each) => read(each) ?? []).sort(byPlace));
    this.#lists.set(json, list);
    return list;
  }

  /** Adds a prompt at the end, and returns its id, which is the id of the later message. */
  add(text: string, { to = [] }: { to?: readonly string[] } = {}): string {
    this.#checkOpen();
    const id = freshId("msg");
    const written = checkedText(text, "The text of a prompt");
    const size = new TextEncoder().encode(written).length;
    if (size > MAX_PROMPT_BYTES)
      throw new InvalidValue(
        `A prompt in the queue has at most ${MAX_PROMPT_BYTES} bytes, this one ${size}; send it as a message.`,
      );
    const agents = checkedIds(to, "The agents that are asked");
    checkRecord([written, ...agents], this.#of.limits, "The prompt");
    const fields: Record<string, unknown> = {
      id,
      author: knownId(this.#of.me),
      created_at: new Date().toISOString(),
      text: new Y.Text(written),
      place: (this.list.at(-1)?.place ?? 0) + 1,
      ...(agents.length > 0 ? { to: agents } : {}),
    };
    transact(this.#of.doc, () => this.root.push([new Y.Map(Object.entries(fields))]));
    return id;
  }

  /** Returns the shared text of a prompt, for editing. */
  text(id: string): Y.Text {
    const text = this.#find(id).get("text");
    if (text instanceof Y.Text) return text;
    throw new InvalidValue(`The prompt ${id} has no text: it wasn't written as a prompt.`);
  }

  /** Moves a prompt to an index; 0 is next. */
  move(id: string, index: number): void {
    this.#checkOpen();
    if (!Number.isInteger(index))
      throw new InvalidValue(
        `A prompt moves to a place in the queue, a whole number, not to ${String(index)}.`,
      );
    const entry = this.#find(id);
    const others = this.list.filter((other) => other.id !== id);
    const at = Math.max(0, Math.min(index, others.length));
    const [last, next] = [others[at - 1], others[at]];
    const before = last?.place ?? (next?.place ?? 2) - 2;
    const after = next?.place ?? before + 2;
    const place = (before + after) / 2;
    transact(this.#of.doc, () => {
      if (before < place && place < after) entry.set("place", place);
      else this.#number([...others.slice(0, at).map(idOf), id, ...others.slice(at).map(idOf)]);
    });
  }

  /** Removes a prompt; does nothing when it isn't in the queue. */
  remove(id: string): void {
    this.#checkOpen();
    const index = this.root.toArray().findIndex((entry) => entry instanceof Y.Map && entry.get("id") === id);
    if (index >= 0) transact(this.#of.doc, () => this.root.delete(index));
  }

  #number(ids: readonly string[]): void {
    for (const [number, id] of ids.entries()) this.#find(id).set("place", number + 1);
  }

  #find(id: string): Y.Map<unknown> {
    for (const entry of this.root) if (entry instanceof Y.Map && entry.get("id") === id) return entry;
    throw new NotFound(`There is no prompt ${id} in the queue.`, { kind: "prompt", id });
  }
}

function read(json: unknown): QueuedPrompt | undefined {
  const entry = isObject(json)
    ? (ENTRY(json) as (Partial<QueuedPrompt> & { readonly id: string }) | undefined)
    : undefined;
  return entry === undefined
    ? undefined
    : Object.freeze({ ...entry, text: entry.text ?? "", place: entry.place ?? 0 });
}

function idOf({ id }: QueuedPrompt): string {
  return id;
}

function byPlace(first: QueuedPrompt, second: QueuedPrompt): number {
  return first.place - second.place || (first.id < second.id ? -1 : 1);
}
