/**
 * Requests: what a participant asks for and the server decides (`cancel/RUN/P`, `steer/RUN/ID/P`).
 *
 * A key ends in the one who asks, so no two participants write the same key. Each segment is percent-encoded by
 * `encodeURIComponent`, which any client in a browser has at hand; the Python SDK makes the same keys.
 */

import type * as Y from "yjs";
import type { Json } from "./json.ts";

/** Percent-encodes one segment. A lone surrogate, which has no UTF-8, becomes U+FFFD. */
export function encodeSegment(segment: string): string {
  return encodeURIComponent(segment.toWellFormed());
}

export function requestKey(kind: string, subject: readonly string[], participant: string): string {
  return [kind, ...subject, participant].map(encodeSegment).join("/");
}

/** Writes one request of `participant`; the server answers it in the facts and takes the request away. */
export function ask(
  requests: Y.Map<Json>,
  kind: string,
  subject: readonly string[],
  participant: string,
  value: Json,
): void {
  requests.set(requestKey(kind, subject, participant), value);
}
