/** The session as its groups see it: the current document, the identity, the limits, and the requests. */

import type { Awareness } from "y-protocols/awareness";
import type * as Y from "yjs";
import type { Disconnected } from "./errors.ts";
import type { Off } from "./events.ts";
import type { Identity } from "./grants.ts";
import type { Limits } from "./limits.ts";
import type { SessionEvents } from "./options.ts";
import type { Refusal } from "./refusal.ts";
import type { Requests } from "./requests.ts";
import type { Snapshots } from "./snapshots.ts";

export interface Context {
  /** The current document: a refusal replaces it. */
  readonly doc: Y.Doc;
  readonly awareness: Awareness;
  readonly identity: Identity;
  readonly limits: Limits;
  readonly snapshots: Snapshots;
  readonly requests: Requests;
  /** Why the session is closed; null while it isn't. */
  readonly error: Disconnected | null;
  /** Checks that the session is open; throws its error otherwise. */
  checkOpen(): void;
  /** Emits the event `refused`. */
  refuse(refusal: Refusal): void;
  on<Name extends keyof SessionEvents>(event: Name, listener: (value: SessionEvents[Name]) => void): Off;
}

/** Returns a context whose fields are read anew at each access. */
export function contextOf(read: { readonly [Name in keyof Context]: () => Context[Name] }): Context {
  const descriptors = Object.entries(read).map(([name, get]) => [name, { get }]);
  return Object.defineProperties({}, Object.fromEntries(descriptors)) as Context;
}
