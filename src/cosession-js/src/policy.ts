/** The session's policy: which agents belong to it, and what becomes of a prompt that comes while one works. */

import { isObject } from "./json.ts";

export const DOUBLE_TEXTING = ["queue", "steer", "interrupt", "parallel", "reject"] as const;

/** The prompt waits, is told to the running run, ends that run, is answered beside it, or is never answered. */
export type DoubleTexting = (typeof DOUBLE_TEXTING)[number];

export interface Policy {
  /** The agents that belong here, also while none of their processes is there; the first answers what names nobody. */
  readonly agents: readonly string[];
  readonly double_texting: DoubleTexting;
}

const known = new WeakMap<object, Policy>();
const NONE: Policy = Object.freeze({ agents: Object.freeze([]), double_texting: "queue" });

/** What a document holds; the same object as before for the same JSON. */
export function readPolicy(json: unknown): Policy {
  if (!isObject(json)) return NONE;
  const before = known.get(json);
  if (before) return before;
  const listed: readonly unknown[] = Array.isArray(json.agents) ? json.agents : [];
  const agents = listed.filter((agent): agent is string => typeof agent === "string" && agent !== "");
  const policy = Object.freeze({
    agents: Object.freeze([...new Set(agents)]),
    double_texting: DOUBLE_TEXTING.find((name) => name === json.double_texting) ?? "queue",
  });
  known.set(json, policy);
  return policy;
}
