/** The client of cosession: an AI session in a page. `Y` is the Yjs module of its documents: bind editors with it. */

export * as Y from "yjs";
export type { Approval, Vote } from "./approvals.ts";
export type { Claim, ClaimOptions, Holding } from "./claims.ts";
export { connect } from "./connect.ts";
export type { Token } from "./credential.ts";
export {
  ClaimHeld,
  ClaimLost,
  Conflict,
  CosessionError,
  Disconnected,
  Gone,
  InvalidValue,
  NotAllowed,
  NotAuthenticated,
  NotFound,
  TimedOut,
  Unavailable,
  WriteRefused,
} from "./errors.ts";
export type { Off } from "./events.ts";
export type { Me } from "./grants.ts";
export { colorOf, type Kind, type Participant } from "./identity.ts";
export type { Json, JsonObject } from "./json.ts";
export type { Limits } from "./limits.ts";
export type { Message, Metadata, Part, Role } from "./messages.ts";
export type { Copy } from "./offline.ts";
export type { ConnectOptions, SendOptions, SessionEvents } from "./options.ts";
export type { Person } from "./people.ts";
export type { DoubleTexting, Policy } from "./policy.ts";
export type { Presence } from "./presence.ts";
export type { QueuedPrompt } from "./queue.ts";
export type { Refusal } from "./refusal.ts";
export type { Accepted, Outcome, RefusedOutcome, Request, RequestKind } from "./requests.ts";
export type { Agent, Progress, Run } from "./runs.ts";
export type { Session, Status } from "./session.ts";
export type { Tool } from "./tools.ts";
export type { Path } from "./tree.ts";
