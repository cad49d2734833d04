/** The entry point: `connect(location.origin, "trip")`. */

import type { ConnectOptions } from "./options.ts";
import type { AnyMetadata, AnyPresence, AnyState } from "./register.ts";
import { Session } from "./session.ts";

/**
 * Joins a session, and stays connected until `close()`.
 *
 * @param url - the server's HTTP origin, e.g. `location.origin`; a path before `/sync` may follow
 * @param session - the session's id
 */
export function connect<State = AnyState, Presence = AnyPresence, Metadata = AnyMetadata>(
  url: string,
  session: string,
  options: ConnectOptions = {},
): Session<State, Presence, Metadata> {
  return new Session<State, Presence, Metadata>(url, session, options);
}
