/** Approvals: questions of agents to people, the votes, and the server's decisions. */

import * as Y from "yjs";
import type { Context } from "./context.ts";
import { compare, Directory, fields } from "./directory.ts";
import { Conflict, InvalidValue, NotFound } from "./errors.ts";
import { type Group, Index } from "./group.ts";
import { isObject, type Json, type JsonObject } from "./json.ts";
import type { Request } from "./requests.ts";
import { listOf, mapOf, number, object, oneOf, orNull, type Reader, string } from "./shapes.ts";
import { type Path, writeAt } from "./tree.ts";

export type Vote = "approved" | "rejected";
export type DecisionStatus = Vote | "expired" | "withdrawn";

/** The last vote of a participant. */
export interface CastVote {
  readonly vote: Vote;
  /** The value that the vote is for; another value is another vote. */
  readonly value: Json;
  readonly at: string;
}

export interface Decision {
  readonly status: DecisionStatus;
  /** Whether `status` is `approved`. */
  readonly approved: boolean;
  /** The approved value. */
  readonly value: Json;
  /** The participants whose votes decided. */
  readonly by: readonly string[];
  readonly at: string;
}

export interface Approval {
  readonly id: string;
  readonly question: string;
  /** The JSON Schema of the value, for a form. */
  readonly schema: JsonObject | null;
  /** The value to approve; people may edit an object while the approval is open. */
  readonly value: Json;
  readonly run: string | null;
  /** The tool call of the run that is approved; its input is the value. */
  readonly toolCall: string | null;
  /** The participants that may vote; empty is all. */
  readonly participants: readonly string[];
  /** The number of votes that must agree. */
  readonly quorum: number;
  readonly createdAt: string;
  readonly expiresAt: string | null;
  /** The votes, by participant. */
  readonly votes: Readonly<Record<string, CastVote>>;
  /** Null while it is open. */
  readonly decision: Decision | null;
}

/** An approval as it is stored. */
interface Stored {
  readonly question: string;
  readonly schema: JsonObject;
  readonly value: Json;
  readonly run: string;
  readonly tool_call: string;
  readonly who: readonly string[];
  readonly quorum: number;
  readonly created_at: string;
  readonly expires_at: string;
  readonly votes: Readonly<Record<string, { decision: Vote; value?: Json; at?: string }>>;
  readonly decision: { decision: DecisionStatus; by?: readonly string[]; value?: Json; at?: string } | null;
}

const VOTE = object({ decision: oneOf("approved", "rejected"), at: string }, "decision");

const APPROVAL: Reader = object({
  question: string,
  schema: object({}),
  run: string,
  tool_call: string,
  who: listOf(string),
  quorum: number,
  created_at: string,
  expires_at: string,
  votes: mapOf(VOTE),
  decision: orNull(
    object(
      { by: listOf(string), decision: oneOf("approved", "rejected", "expired", "withdrawn"), at: string },
      "decision",
    ),
  ),
});

/** The approvals, oldest first. */
export class Approvals implements Group<Approval> {
  readonly #context: Context;
  readonly #directory: Directory<Approval>;
  readonly #index = new Index<Approval>();
  #of: readonly Approval[] | null = null;
  #open: readonly Approval[] = Object.freeze([]);

  constructor(context: Context) {
    this.#context = context;
    this.#directory = new Directory(
      () => context.doc.getMap("approvals"),
      context.snapshots,
      readApproval,
      byAsked,
    );
  }

  get all(): readonly Approval[] {
    return this.#directory.list();
  }

  /** The approvals that are not decided. */
  get open(): readonly Approval[] {
    const { all } = this;
    if (all !== this.#of) {
      this.#of = all;
      this.#open = Object.freeze(all.filter(({ decision }) => decision === null));
    }
    return this.#open;
  }

  get(id: string): Approval | undefined {
    return this.#index.get(this.all, id);
  }

  [Symbol.iterator](): Iterator<Approval> {
    return this.all[Symbol.iterator]();
  }

  get y(): Y.Map<unknown> {
    return this.#directory.y;
  }

  /** Votes: for the value that is shown there, or for another one. The last vote of a participant counts. */
  vote(id: string, vote: Vote, { value }: { value?: Json } = {}): Request {
    if (vote !== "approved" && vote !== "rejected")
      throw new InvalidValue(`A vote is \`approved\` or \`rejected\`, not ${String(vote)}.`);
    const seen = value === undefined && vote === "approved" ? this.#editable(id) : value;
    const written = seen === undefined ? { decision: vote } : { decision: vote, value: seen };
    return this.#context.requests.ask("vote", [id], written, id);
  }

  /**
   * Changes the value of an approval at a path, while it is open.
   *
   * @throws NotFound when there is no such approval
   * @throws Conflict when it is decided
   */
  edit(id: string, path: Path, value: Json): void {
    this.#context.checkOpen();
    const approval = this.y.get(id);
    if (!(approval instanceof Y.Map))
      throw new NotFound(`The session has no approval ${id}.`, { kind: "approval", id });
    if (approval.get("decision"))
      throw new Conflict(`The approval ${id} is decided, so its value stays.`, { code: "approval.closed" });
    const root = approval.get("value");
    if (!(root instanceof Y.Map))
      throw new InvalidValue(`The approval ${id} has no value that can be edited; vote with one.`);
    writeAt(root, path, value, this.#context.limits);
  }

  /** Returns the current value of an approval if it can be edited: a vote is for that value. */
  #editable(id: string): Json | undefined {
    const value = this.get(id)?.value;
    return isObject(value) || Array.isArray(value) ? value : undefined;
  }
}

function readApproval(id: string, json: object): Approval {
  const read = fields<Stored>(APPROVAL, json);
  const votes = Object.entries(read.votes ?? {}).map(([voter, { decision, value = null, at = "" }]) => [
    voter,
    Object.freeze({ vote: decision, value, at }),
  ]);
  return {
    id,
    question: read.question ?? "",
    schema: read.schema ?? null,
    value: read.value ?? null,
    run: read.run ?? null,
    toolCall: read.tool_call ?? null,
    participants: read.who ?? [],
    quorum: read.quorum ?? 1,
    createdAt: read.created_at ?? "",
    expiresAt: read.expires_at ?? null,
    votes: Object.freeze(Object.fromEntries(votes)),
    decision: decisionOf(read.decision),
  };
}

function decisionOf(stored: Stored["decision"] | undefined): Decision | null {
  if (stored === null || stored === undefined) return null;
  const { decision: status, value = null, by = [], at = "" } = stored;
  return Object.freeze({ status, approved: status === "approved", value, by, at });
}

/** Compares approvals by their time: oldest first. */
function byAsked(first: Approval, second: Approval): number {
  return compare(first.createdAt, second.createdAt) || compare(first.id, second.id);
}
