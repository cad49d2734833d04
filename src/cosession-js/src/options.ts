/** The options, events and losses of a session: the types around `Session`. */

import type * as Y from "yjs";
import type { Approval } from "./approvals.ts";
import type { Holding } from "./claims.ts";
import type { Token } from "./credential.ts";
import type { Me } from "./grants.ts";
import type { User } from "./identity.ts";
import type { Json, JsonObject } from "./json.ts";
import type { Message, Role } from "./messages.ts";
import type { Copy } from "./offline.ts";
import type { Person } from "./people.ts";
import type { Policy } from "./policy.ts";
import type { Presence } from "./presence.ts";
import type { QueuedPrompt } from "./queue.ts";
import type { Refusal } from "./refusal.ts";
import type { Agent, Run } from "./runs.ts";
import type { Status } from "./transport.ts";

export interface Options {
  /** The participant of this page; missing fields are filled in. */
  user?: User | undefined;
  /**
   * The token for the server, or a function that returns a fresh one: it is called at each connection, and before the
   * last one expires. Sent as the `token` query parameter, since a page can't set headers.
   */
  token?: Token | undefined;
  /** Whether to keep a copy in this browser, so that edits made offline survive a reload. */
  offline?: boolean | undefined;
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
export interface SessionEvents extends Record<string, unknown> {
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
  /** The server refused a write of this page. */
  refused: Loss;
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

/** A refusal of a write of this page, with its consequences. */
export interface Loss extends Refusal {
  /** The texts that were written here and that the server lacks; no other client has them. */
  readonly lost: readonly string[];
  /** Whether it ended the session; otherwise this page continues with the server's document. */
  readonly isFinal: boolean;
}
