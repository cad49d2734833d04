/** The entry point: `connect(location.origin, "trip")`. */

import type { Options } from "./options.ts";
import { Session } from "./session.ts";

/**
 * Joins a session, and stays connected until `close()`.
 *
 * @param url - the server's HTTP origin, e.g. `location.origin`; a path before `/sync` may follow
 * @param id - the session's id
 */
export function connect(url: string, id: string, options: Options = {}): Session {
  return new Session(url, id, options);
}
