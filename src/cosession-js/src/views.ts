/** The views of the document's roots; a view's event is emitted when its root changes. */

import type { SessionEvents } from "./options.ts";
import type { Session } from "./session.ts";

export type View =
  | "messages"
  | "runs"
  | "agents"
  | "participants"
  | "state"
  | "selections"
  | "counters"
  | "approvals"
  | "claims"
  | "queue"
  | "title";

export const VIEWS: {
  readonly [Name in View]: {
    readonly root: string;
    readonly read: (session: Session) => SessionEvents[Name];
  };
} = {
  messages: { root: "messages", read: (session) => session.messages },
  runs: { root: "runs", read: (session) => session.runs },
  agents: { root: "agents", read: (session) => session.agents },
  participants: { root: "participants", read: (session) => session.participants },
  state: { root: "state", read: (session) => session.state.toJSON() },
  selections: { root: "selections", read: (session) => session.selections.toJSON() },
  counters: { root: "counters", read: (session) => session.counters.toJSON() },
  approvals: { root: "approvals", read: (session) => session.approvals },
  claims: { root: "claims", read: (session) => session.claims },
  queue: { root: "queue", read: (session) => session.queue.list },
  title: { root: "meta", read: (session) => session.title },
};
