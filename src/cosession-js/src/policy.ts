/** The session's policy: its agents, and the handling of a prompt that arrives while an agent works. */

import type { Context } from "./context.ts";
import { InvalidValue } from "./errors.ts";
import { isObject } from "./json.ts";
import type { Request } from "./requests.ts";

export const DOUBLE_TEXTING = ["queue", "steer", "interrupt", "parallel", "reject"] as const;

/** The prompt waits, steers the current run, ends that run, is answered in parallel, or is never answered. */
export type DoubleTexting = (typeof DOUBLE_TEXTING)[number];

/** A snapshot; the same object until something in it changes. */
export interface Policy {
  /** The session's agents, also while no process of them is connected; the first answers prompts that name none. */
  readonly agents: readonly string[];
  readonly doubleTexting: DoubleTexting;
  /** Requests another handling of prompts that arrive while an agent works. */
  set(policy: { readonly doubleTexting: DoubleTexting }): Request;
}

type Facts = Omit<Policy, "set">;

const known = new WeakMap<object, Facts>();
const NONE: Facts = Object.freeze({ agents: Object.freeze([]), doubleTexting: "queue" });

/** Returns the policy in a document; the same object as before for the same JSON. */
export function readPolicy(json: unknown): Facts {
  if (!isObject(json)) return NONE;
  const before = known.get(json);
  if (before) return before;
  const listed: readonly unknown[] = Array.isArray(json.agents) ? json.agents : [];
  const agents = listed.filter((agent): agent is string => typeof agent === "string" && agent !== "");
  const facts = Object.freeze({
    agents: Object.freeze([...new Set(agents)]),
    doubleTexting: DOUBLE_TEXTING.find((name) => name === json.double_texting) ?? "queue",
  });
  known.set(json, facts);
  return facts;
}

/** Reads the policy of a session. */
export class PolicyReader {
  readonly #context: Context;
  #facts: Facts | null = null;
  #policy: Policy | null = null;

  constructor(context: Context) {
    this.#context = context;
  }

  get current(): Policy {
    const { doc, snapshots } = this.#context;
    const facts = readPolicy(snapshots.of(doc.getMap("meta").get("policy")));
    if (this.#policy === null || facts !== this.#facts) {
      this.#facts = facts;
      this.#policy = Object.freeze({
        ...facts,
        set: (wanted: { readonly doubleTexting: DoubleTexting }) => this.#set(wanted),
      });
    }
    return this.#policy;
  }

  #set(wanted: { readonly doubleTexting: DoubleTexting }): Request {
    const doubleTexting: unknown = isObject(wanted) ? wanted.doubleTexting : wanted;
    if (!DOUBLE_TEXTING.includes(doubleTexting as DoubleTexting))
      throw new InvalidValue(
        `\`doubleTexting\` is one of ${DOUBLE_TEXTING.join(", ")}, not ${String(doubleTexting)}.`,
      );
    return this.#context.requests.ask(
      "policy",
      [],
      { double_texting: doubleTexting as DoubleTexting },
      "policy",
    );
  }
}
