/** Approvals: questions of agents to people, the votes, and the server's decisions. */

import * as Y from "yjs";
import { Conflict, InvalidValue, NotFound } from "./errors.ts";
import type { Json } from "./json.ts";
import type { Limits } from "./limits.ts";
import { listOf, mapOf, number, object, oneOf, orNull, type Reader, string } from "./shapes.ts";
import { type Path, writeAt } from "./tree.ts";

export interface Vote {
  readonly decision: "approved" | "rejected";
  /** The value that the vote is for; another value is another vote. */
  readonly value?: Json;
  readonly at?: string;
}

export interface Approval {
  readonly id: string;
  readonly question?: string;
  /** The JSON Schema of the value, for a form. */
  readonly schema?: { readonly [keyword: string]: Json };
  /** The value to approve; people may edit an object while the approval is open. */
  readonly value?: Json;
  readonly run?: string;
  /** The participants that may vote; empty or missing is all. */
  readonly who?: readonly string[];
  /** The number of votes that must agree. */
  readonly quorum?: number;
  readonly created_at?: string;
  readonly expires_at?: string;
  readonly votes?: Readonly<Record<string, Vote>>;
  readonly decision?: {
    readonly by?: readonly string[];
    readonly decision: "approved" | "rejected" | "expired" | "withdrawn";
    readonly value?: Json;
    readonly at?: string;
  } | null;
  readonly [field: string]: unknown;
}

const VOTE = object({ decision: oneOf("approved", "rejected"), at: string }, "decision");

export const APPROVAL: Reader = object({
  question: string,
  schema: object({}),
  run: string,
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

/** Compares approvals by their time: oldest first. */
export function byAsked(first: Approval, second: Approval): number {
  const [before, after] = [first, second].map(({ created_at = "", id }) => `${created_at} ${id}`) as [
    string,
    string,
  ];
  return before < after ? -1 : before > after ? 1 : 0;
}

/** Changes the value to approve. */
export function editValue(
  approvals: Y.Map<unknown>,
  id: string,
  path: Path,
  value: Json,
  limits: Limits,
): void {
  const approval = approvals.get(id);
  if (!(approval instanceof Y.Map))
    throw new NotFound(`The session has no approval ${id}.`, { kind: "approval", id });
  if (approval.get("decision"))
    throw new Conflict(`The approval ${id} is decided, so its value stays.`, { code: "approval.closed" });
  const root = approval.get("value");
  if (!(root instanceof Y.Map))
    throw new InvalidValue(`The approval ${id} has no value that can be edited; vote with one.`);
  writeAt(root, path, value, limits);
}
