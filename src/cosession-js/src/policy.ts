/** The session's policy: its agents, and the handling of a prompt that arrives while an agent works. */

import { isObject } from "./json.ts";

export const DOUBLE_TEXTING = ["queue", "steer", "interrupt", "parallel", "reject"] as const;

/** The prompt waits, steers the current run, ends that run, is answered in parallel, or is never answered. */
export type DoubleTexting = (typeof DOUBLE_TEXTING)[number];

export interface Policy {
  /** The session's agents, also while no process of them is connected; the first answers prompts that name none. */
  readonly agents: readonly string[];
  readonly double_texting: DoubleTexting;
}

const known = new WeakMap<object, Policy>();
const NONE: Policy = Object.freeze({ agents: Object.freeze([]), double_texting: "queue" });

/** Returns the policy in a document; the same object as before for the same JSON. */
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
