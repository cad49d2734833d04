/** The entry point: `connect(location.origin, "trip")`. */

import type { ConnectOptions } from "./options.ts";
import { Session } from "./session.ts";

/**
 * Joins a session, and stays connected until `close()`.
 *
 * @param url - the server's HTTP origin, e.g. `location.origin`; a path before `/sync` may follow
 * @param session - the session's id
 */
export function connect(url: string, session: string, options: ConnectOptions = {}): Session {
  return new Session(url, session, options);
}
