/** Refusals: a close code from 4400 to 4499, and what the server said before it. */

import { isObject } from "./json.ts";

export interface Refusal {
  /** The WebSocket close code, 4400 to 4499. */
  readonly code: number;
  /** A sentence that says what to do. */
  readonly reason: string;
  /** The server's name of the error, e.g. `auth.forbidden`, when it sent one. */
  readonly error?: string;
  /** The place in the document that may not be touched, e.g. `messages/*\/stamp`, when the server said it. */
  readonly touched?: string;
}

/** What the server says before it closes, as far as it can be read. */
export type Notice = Omit<Refusal, "code">;

export function noticeFrom(json: string): Notice | null {
  const said: unknown = JSON.parse(json);
  if (!isObject(said)) return null;
  const { code, reason, touched } = said;
  return {
    reason: typeof reason === "string" ? reason : "",
    ...(typeof code === "string" ? { error: code } : {}),
    ...(typeof touched === "string" ? { touched } : {}),
  };
}
