/**
 * Requests: what a participant asks for and the server decides (`cancel/RUN/P`, `steer/RUN/ID/P`).
 *
 * A key ends in the one who asks, so no two participants write the same key. Each segment is percent-encoded as
 * RFC 3986 has it: the same characters as Python's `quote(segment, safe="")`, so every client makes the same key.
 */

import type * as Y from "yjs";
import type { Json } from "./json.ts";

/** Percent-encodes all but letters, digits and `-_.~`. A lone surrogate, which has no UTF-8, becomes U+FFFD. */
export function encodeSegment(segment: string): string {
  return encodeURIComponent(segment.toWellFormed()).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
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
