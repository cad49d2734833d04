/** The views of the document's roots; their events are emitted when their root changes. */

import type { SessionEvents } from "./options.ts";

export type View = Exclude<
  keyof SessionEvents,
  "status" | "saved" | "synced" | "copy" | "refused" | "doc" | "change"
>;

/** The events after a change of a root, by the root's name. */
export const VIEWS: Readonly<Record<string, readonly View[]>> = {
  messages: ["messages"],
  runs: ["runs"],
  agents: ["agents"],
  participants: ["people", "presence", "me"],
  state: ["state"],
  selections: ["selections"],
  counters: ["counters"],
  approvals: ["approvals"],
  claims: ["claims"],
  queue: ["queue"],
  meta: ["title", "policy"],
};

/** The events after a change of presence. */
export const OF_PRESENCE: readonly View[] = ["presence", "people", "me", "runs", "tools"];
