/** What a session is given, what it tells, and how it fails: the types around `Session`. */

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
  /** Who this page speaks for; parts that are missing are filled in. */
  user?: User | undefined;
  /**
   * What the server authenticates, or a function that gives a fresh one: it is called at each connection, and before the
   * last one expires. Sent as the `token` query parameter, since a page can't set headers.
   */
  token?: Token | undefined;
  /** Keep a copy in this browser, so that edits made offline survive a reload. */
  offline?: boolean | undefined;
}

export interface SendOptions {
  id?: string;
  role?: Role;
  /** The message that this one answers or branches from. */
  parent?: string;
  /** The agents that are asked; without any it is whoever answers here. */
  to?: readonly string[];
  metadata?: JsonObject;
}

/** The events, and what their listeners get. */
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
  /** Who this page is, and what it may do, as the server says. */
  me: Me;
  /** The server refused what was written here. */
  refused: Loss;
  /** After a refusal: another document, and another awareness, have taken their places; bind editors anew. */
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

/** What became of a refusal of something that was written here. */
export interface Loss extends Refusal {
  /** The texts that were written here and that the server has not; nobody else has them. */
  readonly lost: readonly string[];
  /** Whether it ended the session; otherwise this page goes on with the server's document. */
  readonly isFinal: boolean;
}
