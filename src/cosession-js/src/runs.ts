/** Runs and agents: snapshots of the `runs` and `agents` roots, in a stable order. */

import type * as Y from "yjs";
import { isObject } from "./json.ts";
import { listOf, number, object, onceEach, oneOf, orNull, type Reader, string } from "./shapes.ts";
import type { Snapshots } from "./snapshots.ts";

export interface Progress {
  readonly label?: string;
  readonly done?: number | null;
  readonly total?: number | null;
}

export interface Run {
  readonly id: string;
  readonly agent?: string;
  readonly status?: "queued" | "running" | "suspended" | "complete" | "cancelled" | "error" | "lost";
  readonly reply_to?: string | null;
  readonly messages?: readonly string[];
  readonly started_at?: string;
  readonly ended_at?: string | null;
  readonly error?: unknown;
  readonly progress?: Progress | null;
  readonly steps?: readonly {
    readonly id: string;
    readonly name?: string;
    readonly status?: string;
    readonly attempt?: number;
    readonly attempts?: number;
  }[];
  /** The number of the attempt, from 1; larger when another process has resumed the run. */
  readonly epoch?: number;
  /** The Yjs client that works on the run; see `session.isHeld`. */
  readonly client?: number;
  readonly cancel?: { readonly by: string; readonly at: string; readonly reason: string } | null;
  readonly steers?: readonly {
    readonly id: string;
    readonly by: string;
    readonly text: string;
    readonly at: string;
  }[];
  readonly seen?: readonly string[];
  readonly [field: string]: unknown;
}

export interface Agent {
  readonly id: string;
  readonly name?: string;
  readonly status?: "idle" | "thinking" | "working" | "waiting";
  readonly task?: string | null;
  readonly progress?: Progress | null;
  readonly run?: string | null;
  readonly [field: string]: unknown;
}

const PROGRESS = orNull(object({ label: string, done: orNull(number), total: orNull(number) }));

const RUN: Reader = object({
  agent: string,
  status: oneOf("queued", "running", "suspended", "complete", "cancelled", "error", "lost"),
  reply_to: orNull(string),
  messages: listOf(string),
  started_at: string,
  ended_at: orNull(string),
  progress: PROGRESS,
  steps: listOf(
    object({ id: string, name: string, status: string, attempt: number, attempts: number }, "id"),
  ),
  epoch: number,
  client: number,
  cancel: orNull(object({ by: string, at: string, reason: string }, "by", "at", "reason")),
  steers: onceEach(
    listOf(object({ id: string, by: string, text: string, at: string }, "id", "by", "text", "at")),
  ),
  seen: listOf(string),
});

export const AGENT: Reader = object({
  name: string,
  status: oneOf("idle", "thinking", "working", "waiting"),
  task: orNull(string),
  progress: PROGRESS,
  run: orNull(string),
});

const OVER: ReadonlySet<unknown> = new Set(["complete", "cancelled", "error", "lost"]);

/** The Maps of one root as a list; an unchanged entry, and an unchanged list, are the same objects as before. */
export class Directory<Entry extends { readonly id: string }> {
  readonly #root: () => Y.Map<unknown>;
  readonly #snapshots: Snapshots;
  readonly #entries = new WeakMap<object, Entry>();
  readonly #read: Reader;
  readonly #order: (first: Entry, second: Entry) => number;
  #json: unknown;
  #list: readonly Entry[] = Object.freeze([]);

  constructor(
    root: () => Y.Map<unknown>,
    snapshots: Snapshots,
    read: Reader,
    order: (first: Entry, second: Entry) => number,
  ) {
    this.#root = root;
    this.#snapshots = snapshots;
    this.#read = read;
    this.#order = order;
  }

  list(): readonly Entry[] {
    const json = this.#snapshots.of(this.#root()) as Readonly<Record<string, unknown>>;
    if (json !== this.#json) {
      this.#json = json;
      const entries = Object.entries(json).flatMap(([id, value]) => this.#entry(id, value) ?? []);
      this.#list = Object.freeze(entries.sort(this.#order));
    }
    return this.#list;
  }

  #entry(id: string, value: unknown): Entry | undefined {
    if (!isObject(value)) return undefined; // neither a run nor an agent
    const known = this.#entries.get(value);
    if (known) return known;
    const read = this.#read(value) as object;
    const entry = Object.freeze({ ...read, id }) as Entry;
    this.#entries.set(value, entry);
    return entry;
  }
}

/** The runs, oldest first. */
export class Runs extends Directory<Run> {
  #of: readonly Run[] = [];
  #active: readonly Run[] = Object.freeze([]);

  constructor(root: () => Y.Map<unknown>, snapshots: Snapshots) {
    super(root, snapshots, RUN, byStart);
  }

  /** Returns the runs that have not ended; the same list as before when no run changed. */
  active(): readonly Run[] {
    const runs = this.list();
    if (runs !== this.#of) {
      this.#of = runs;
      this.#active = Object.freeze(runs.filter(({ status }) => !OVER.has(status)));
    }
    return this.#active;
  }
}

/** Oldest first. Times are RFC 3339 in UTC, so text order is time order; ids break ties, on all clients alike. */
function byStart(first: Run, second: Run): number {
  return compare(first.started_at ?? "", second.started_at ?? "") || compare(first.id, second.id);
}

export function byId(first: { readonly id: string }, second: { readonly id: string }): number {
  return compare(first.id, second.id);
}

function compare(first: string, second: string): number {
  return first < second ? -1 : first > second ? 1 : 0;
}
