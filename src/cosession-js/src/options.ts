/** The options and events of a session. */

import type * as Y from "yjs";
import type { Approval } from "./approvals.ts";
import type { Holding } from "./claims.ts";
import type { Token } from "./credential.ts";
import type { Me } from "./grants.ts";
import type { Kind } from "./identity.ts";
import type { Json, JsonObject } from "./json.ts";
import type { Message, Role } from "./messages.ts";
import type { Copy } from "./offline.ts";
import type { Person } from "./people.ts";
import type { Policy } from "./policy.ts";
import type { Presence } from "./presence.ts";
import type { QueuedPrompt } from "./queue.ts";
import type { Refusal } from "./refusal.ts";
import type { Agent, Run } from "./runs.ts";
import type { Status } from "./session.ts";

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

export interface SendOptions {
  id?: string;
  role?: Role;
  /** The message that this one answers or branches from. */
  parent?: string;
  /** The agents that are asked; without any the session's policy decides. */
  to?: readonly string[];
  metadata?: JsonObject;
}

/** The events, and the arguments of their listeners. */
export interface SessionEvents {
  messages: readonly Message[];
  runs: readonly Run[];
  agents: readonly Agent[];
  participants: Readonly<Record<string, Json>>;
  state: Readonly<Record<string, Json>>;
  selections: Readonly<Record<string, Json>>;
  counters: Readonly<Record<string, number>>;
  approvals: readonly Approval[];
  claims: Readonly<Record<string, Holding>>;
  queue: readonly QueuedPrompt[];
  policy: Policy;
  presence: readonly Presence[];
  people: readonly Person[];
  /** The identity and capabilities of this page, as the server verified them. */
  me: Me;
  /** The server refused a write of this page, or a request of which no caller awaits the outcome. */
  refused: Refusal;
  /** After a refusal: the document and the awareness are replaced by new ones; bind editors again. */
  doc: Y.Doc;
  status: Status;
  saved: boolean;
  synced: boolean;
  /** Whether this browser keeps a copy. */
  copy: Copy;
  title: string;
  /** After any change of the document. */
  change: Y.Transaction;
}
