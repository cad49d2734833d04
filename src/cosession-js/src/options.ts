/** The options and events of a session. */

import type * as Y from "yjs";
import type { Approval } from "./approvals.ts";
import type { Holding } from "./claims.ts";
import type { Token } from "./credential.ts";
import type { Edit } from "./edits.ts";
import type { Identity } from "./grants.ts";
import type { Kind } from "./identity.ts";
import type { Message, Role } from "./messages.ts";
import type { Copy } from "./offline.ts";
import type { Person } from "./people.ts";
import type { Policy } from "./policy.ts";
import type { Presence } from "./presence.ts";
import type { QueuedPrompt } from "./queue.ts";
import type { Refusal } from "./refusal.ts";
import type { AnyMetadata, AnyPresence, AnyState } from "./register.ts";
import type { Agent, Run } from "./runs.ts";
import type { Selections } from "./selections.ts";
import type { OfferedTool } from "./tools.ts";

export interface ConnectOptions {
  /**
   * The token for the server, or a function that returns a fresh one: it is called at each connection, and before the
   * last one expires. Sent as the `token` query parameter, since a page can't set headers.
   */
  token?: Token | undefined;
  /** The id of this page's participant. A token names it; without both, an id is made and kept in this browser. */
  participant?: string | undefined;
  /** The name that others see; a token's name takes its place. */
  name?: string | undefined;
  kind?: Kind | undefined;
  /** The colour that others see, in hex; otherwise it is derived from the id. */
  color?: string | undefined;
  /** Whether to keep a copy in this browser, so that edits made offline survive a reload. */
  offline?: boolean | undefined;
  /** How long the server gathers changes before it sends them, in milliseconds up to 1000; 0 sends each at once. */
  rollupMs?: number | undefined;
}

export interface SendOptions<Metadata = AnyMetadata> {
  /** Makes the call repeatable: a second message with this id and the same content isn't written. */
  id?: string | undefined;
  role?: Exclude<Role, "assistant"> | undefined;
  /** The message that this one answers or branches from. */
  parent?: string | undefined;
  /** The agents that are asked; without any the session's policy decides. */
  to?: readonly string[] | undefined;
  /** The application's metadata. */
  metadata?: Partial<Metadata> | undefined;
}

/** The state of the connection: `offline` comes back by itself, and `closed` has a reason, `session.error`. */
export type Status = "connecting" | "online" | "offline" | "closed";

/** This page's person, with its capabilities as the server verified them. */
export interface Me extends Person, Identity {}

/** The events, and the arguments of their listeners. */
export interface SessionEvents<State = AnyState, Fields = AnyPresence, Metadata = AnyMetadata> {
  messages: readonly Message<Metadata>[];
  runs: readonly Run[];
  agents: readonly Agent[];
  approvals: readonly Approval[];
  queue: readonly QueuedPrompt[];
  claims: readonly Holding[];
  state: State;
  counters: Readonly<Record<string, number>>;
  selections: Selections;
  presence: readonly Presence<Fields>[];
  people: readonly Person[];
  tools: readonly OfferedTool[];
  policy: Policy;
  title: string;
  me: Me;
  status: Status;
  saved: boolean;
  synced: boolean;
  /** Whether this browser keeps a copy. */
  copy: Copy;
  /** The server refused a write of this page, or a request of which no caller awaits the outcome. */
  refused: Refusal;
  /** Another participant changed the text of a message of this page's participant. */
  edit: Edit;
  /** After a refusal: the document and the awareness are replaced by new ones; bind editors again. */
  doc: Y.Doc;
  /** After any change of the document. */
  change: Y.Transaction;
}
