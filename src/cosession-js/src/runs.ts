/** Runs and agents: snapshots of the `runs` and `agents` roots, in a stable order. */

import type * as Y from "yjs";
import type { Context } from "./context.ts";
import { compare, Directory, fields } from "./directory.ts";
import { type Group, Index } from "./group.ts";
import { isObject, type JsonObject } from "./json.ts";
import { listOf, number, object, onceEach, oneOf, orNull, type Reader, string } from "./shapes.ts";

export type RunStatus = "queued" | "running" | "suspended" | "complete" | "cancelled" | "error" | "lost";

export interface Progress {
  readonly label: string;
  readonly done: number | null;
  readonly total: number | null;
}

/** A text that a participant adds to a run while it works. */
export interface Steer {
  readonly id: string;
  readonly by: string;
  readonly text: string;
  readonly at: string;
}

export interface StepInfo {
  readonly id: string;
  readonly name: string;
  readonly status: "running" | "retrying" | "complete" | "error";
  readonly detail: string | null;
  readonly attempt: number;
  readonly attempts: number;
}

/** A piece of an agent's work, from its start to its end. */
export interface Run {
  readonly id: string;
  readonly agent: string;
  readonly status: RunStatus;
  /** The message that it answers. */
  readonly replyTo: string | null;
  /** The ids of the messages that it wrote. */
  readonly messages: readonly string[];
  readonly task: string;
  readonly startedAt: string;
  readonly endedAt: string | null;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly progress: Progress | null;
  readonly steps: readonly StepInfo[];
  readonly steers: readonly Steer[];
  /** The ids of the steers that the agent has taken in. */
  readonly seen: readonly string[];
  readonly cancel: { readonly by: string; readonly at: string; readonly reason: string } | null;
  /** The tokens and costs, in the agent's terms. */
  readonly usage: JsonObject | null;
  /** The number of the attempt, from 1; larger when another process has resumed the run. */
  readonly epoch: number;
  /** Whether it has not ended. */
  readonly active: boolean;
  /** Whether the process that works on it is connected; one that stays away loses the run. */
  readonly attended: boolean;
}

export interface Agent {
  readonly id: string;
  readonly name: string;
  readonly status: "idle" | "thinking" | "working" | "waiting";
  readonly task: string | null;
  readonly progress: Progress | null;
  readonly run: string | null;
}

/** A run as it is stored. */
interface Stored {
  readonly agent: string;
  readonly status: RunStatus;
  readonly reply_to: string | null;
  readonly messages: readonly string[];
  readonly task: string;
  readonly started_at: string;
  readonly ended_at: string | null;
  readonly error: unknown;
  readonly progress: Partial<Progress> | null;
  readonly steps: readonly (Partial<StepInfo> & { readonly id: string })[];
  readonly steers: readonly Steer[];
  readonly seen: readonly string[];
  readonly cancel: Run["cancel"];
  readonly usage: JsonObject | null;
  readonly epoch: number;
  readonly client: number;
}

const PROGRESS = orNull(object({ label: string, done: orNull(number), total: orNull(number) }));

const STEP = object(
  {
    id: string,
    name: string,
    status: oneOf("running", "retrying", "complete", "error"),
    detail: string,
    attempt: number,
    attempts: number,
  },
  "id",
);

const RUN: Reader = object({
  agent: string,
  status: oneOf("queued", "running", "suspended", "complete", "cancelled", "error", "lost"),
  reply_to: orNull(string),
  messages: listOf(string),
  task: string,
  started_at: string,
  ended_at: orNull(string),
  progress: PROGRESS,
  steps: listOf(STEP),
  epoch: number,
  client: number,
  cancel: orNull(object({ by: string, at: string, reason: string }, "by", "at", "reason")),
  steers: onceEach(
    listOf(object({ id: string, by: string, text: string, at: string }, "id", "by", "text", "at")),
  ),
  seen: listOf(string),
  usage: orNull(object({})),
});

const AGENT: Reader = object({
  name: string,
  status: oneOf("idle", "thinking", "working", "waiting"),
  task: orNull(string),
  progress: PROGRESS,
  run: orNull(string),
});

const OVER: ReadonlySet<unknown> = new Set(["complete", "cancelled", "error", "lost"]);

/** A run as it was read, and the Yjs client that works on it: 0 if its agent names none. */
interface Read extends Omit<Run, "attended"> {
  readonly client: number;
}

/** The connected Yjs clients, by participant. */
export interface Here {
  readonly clients: ReadonlyMap<string, ReadonlySet<number>>;
}

/** The runs, oldest first. */
export class Runs implements Group<Run> {
  readonly #directory: Directory<Read>;
  readonly #here: () => Here;
  readonly #index = new Index<Run>();
  readonly #runs = new WeakMap<Read, { readonly attended: Run; readonly unattended: Run }>();
  #of: readonly [readonly Read[], Here] | null = null;
  #list: readonly Run[] = Object.freeze([]);
  #active: readonly Run[] = Object.freeze([]);

  /** `here` returns the connected clients; the same object until they change. */
  constructor(context: Context, here: () => Here) {
    this.#directory = new Directory(() => context.doc.getMap("runs"), context.snapshots, readRun, byStart);
    this.#here = here;
  }

  get all(): readonly Run[] {
    this.#look();
    return this.#list;
  }

  /** The runs that have not ended. */
  get active(): readonly Run[] {
    this.#look();
    return this.#active;
  }

  get(id: string): Run | undefined {
    return this.#index.get(this.all, id);
  }

  [Symbol.iterator](): Iterator<Run> {
    return this.all[Symbol.iterator]();
  }

  get y(): Y.Map<unknown> {
    return this.#directory.y;
  }

  #look(): void {
    const [read, here] = [this.#directory.list(), this.#here()];
    if (this.#of?.[0] === read && this.#of[1] === here) return;
    this.#of = [read, here];
    const runs = read.map((run) => this.#run(run, isAttended(run, here)));
    if (runs.length === this.#list.length && runs.every((run, index) => run === this.#list[index])) return;
    this.#list = Object.freeze(runs);
    const active = runs.filter((run) => run.active);
    const isSame =
      active.length === this.#active.length && active.every((run, index) => run === this.#active[index]);
    if (!isSame) this.#active = Object.freeze(active);
  }

  #run(read: Read, isHere: boolean): Run {
    let known = this.#runs.get(read);
    if (known === undefined) {
      const { client: _, ...run } = read;
      known = {
        attended: Object.freeze({ ...run, attended: true }),
        unattended: Object.freeze({ ...run, attended: false }),
      };
      this.#runs.set(read, known);
    }
    return isHere ? known.attended : known.unattended;
  }
}

/** The agents that have worked here, by id. */
export class Agents implements Group<Agent> {
  readonly #directory: Directory<Agent>;
  readonly #index = new Index<Agent>();

  constructor(context: Context) {
    this.#directory = new Directory(() => context.doc.getMap("agents"), context.snapshots, readAgent, byId);
  }

  get all(): readonly Agent[] {
    return this.#directory.list();
  }

  get(id: string): Agent | undefined {
    return this.#index.get(this.all, id);
  }

  [Symbol.iterator](): Iterator<Agent> {
    return this.all[Symbol.iterator]();
  }

  get y(): Y.Map<unknown> {
    return this.#directory.y;
  }
}

function isAttended({ active, agent, client }: Read, { clients }: Here): boolean {
  const here = clients.get(agent);
  return active && here !== undefined && (client === 0 || here.has(client));
}

function readRun(id: string, json: object): Read {
  const run = fields<Stored>(RUN, json);
  const status = run.status ?? "running";
  return {
    id,
    agent: run.agent ?? "",
    status,
    replyTo: run.reply_to ?? null,
    messages: run.messages ?? [],
    task: run.task ?? "",
    startedAt: run.started_at ?? "",
    endedAt: run.ended_at ?? null,
    error: errorOf(run.error),
    progress: progressOf(run.progress),
    steps: (run.steps ?? []).map(readStep),
    steers: run.steers ?? [],
    seen: run.seen ?? [],
    cancel: run.cancel ?? null,
    usage: run.usage ?? null,
    epoch: run.epoch ?? 1,
    active: !OVER.has(status),
    client: run.client ?? 0,
  };
}

function readStep(step: Partial<StepInfo> & { readonly id: string }): StepInfo {
  return Object.freeze({
    id: step.id,
    name: step.name ?? "",
    status: step.status ?? "running",
    detail: step.detail ?? null,
    attempt: step.attempt ?? 1,
    attempts: step.attempts ?? 1,
  });
}

function readAgent(id: string, json: object): Agent {
  const agent = fields<Omit<Agent, "id" | "progress"> & { progress: Partial<Progress> | null }>(AGENT, json);
  return {
    id,
    name: agent.name ?? id,
    status: agent.status ?? "idle",
    task: agent.task ?? null,
    progress: progressOf(agent.progress),
    run: agent.run ?? null,
  };
}

function progressOf(progress: Partial<Progress> | null | undefined): Progress | null {
  if (progress === null || progress === undefined) return null;
  const { label = "", done = null, total = null } = progress;
  return Object.freeze({ label, done, total });
}

/** Returns an error of a run in one form: agents of other SDKs write a text, or an object with a message. */
function errorOf(error: unknown): Run["error"] {
  if (typeof error === "string") return Object.freeze({ code: "error", message: error });
  if (!isObject(error)) return null;
  const { code, type, message } = error;
  const known = [code, type].find((each) => typeof each === "string");
  return Object.freeze({
    code: (known as string | undefined) ?? "error",
    message: typeof message === "string" ? message : "",
  });
}

/** Oldest first; ids break ties, on all clients alike. */
function byStart(first: Read, second: Read): number {
  return compare(first.startedAt, second.startedAt) || compare(first.id, second.id);
}

function byId(first: { readonly id: string }, second: { readonly id: string }): number {
  return compare(first.id, second.id);
}
