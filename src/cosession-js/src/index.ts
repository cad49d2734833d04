/** The client of cosession: an AI session in a page. `Y` is the Yjs module of its documents: bind editors with it. */

export * as Y from "yjs";
export type { Approval, Approvals, CastVote, Decision, DecisionStatus, Vote } from "./approvals.ts";
export type { Claim, ClaimOptions, Claims, Holding } from "./claims.ts";
export { connect } from "./connect.ts";
export type { Counters } from "./counters.ts";
export type { Token } from "./credential.ts";
export { diff, type Replacement } from "./diff.ts";
export type { Edit } from "./edits.ts";
export {
  ClaimHeld,
  ClaimLost,
  Conflict,
  CosessionError,
  Disconnected,
  Gone,
  type IdKind,
  InvalidValue,
  NotAllowed,
  NotAuthenticated,
  NotFound,
  TimedOut,
  Unavailable,
  WriteRefused,
} from "./errors.ts";
export type { Off } from "./events.ts";
export type { Group, Target } from "./group.ts";
export { colorOf, type Kind } from "./identity.ts";
export type { Json, JsonObject } from "./json.ts";
export type { JsonPatch } from "./json_patch.ts";
export type { Limits } from "./limits.ts";
export type { Message, MessageStatus, Messages, Role } from "./messages.ts";
export type { Copy } from "./offline.ts";
export type { ConnectOptions, Me, SendOptions, SessionEvents, Status } from "./options.ts";
export type * from "./parts.ts";
export type { People, Person } from "./people.ts";
export type { DoubleTexting, Policy } from "./policy.ts";
export type { Presence, PresenceGroup } from "./presence.ts";
export type { Queue, QueuedPrompt } from "./queue.ts";
export type { Refusal } from "./refusal.ts";
export * from "./register.ts";
export type { Accepted, Outcome, RefusedOutcome, Request, RequestKind } from "./requests.ts";
export type { Agent, Agents, Progress, Run, RunStatus, Runs, Steer, StepInfo } from "./runs.ts";
export type { Selections } from "./selections.ts";
export type { Session } from "./session.ts";
export type { State, StateChange } from "./state.ts";
export { Position, type SharedText, type SharedXml } from "./text.ts";
export type { OfferedTool, Tool, Tools } from "./tools.ts";
export type { Path } from "./tree.ts";
export type { WaitOptions } from "./waiting.ts";
