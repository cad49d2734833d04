/** Refusals: a close code from 4400 to 4499, and the server's notice before it. */

import { isObject } from "./json.ts";

export interface Refusal {
  /** The WebSocket close code, 4400 to 4499. */
  readonly code: number;
  /** A sentence that says what to do. */
  readonly reason: string;
  /** The server's code of the error, e.g. `auth.forbidden`, if it sent one. */
  readonly error?: string;
  /** The place in the document that may not be changed, e.g. `messages/*\/stamp`, if the server named it. */
  readonly touched?: string;
}

/** The server's notice of a refusal, as far as it can be parsed. */
export interface Notice extends Omit<Refusal, "code"> {
  /** The key of the refused request, if it was one. */
  readonly request?: string;
  /** Whether the connection is closed after it. */
  readonly isFinal: boolean;
}

export function noticeFrom(json: string): Notice | null {
  const said: unknown = JSON.parse(json);
  if (!isObject(said)) return null;
  const { code, reason, touched, request, final } = said;
  return {
    reason: typeof reason === "string" ? reason : "",
    ...(typeof code === "string" ? { error: code } : {}),
    ...(typeof touched === "string" ? { touched } : {}),
    ...(typeof request === "string" ? { request } : {}),
    isFinal: final !== false,
  };
}
