/**
 * Requests: what a participant asks for and the server decides (`cancel/RUN/P`, `steer/RUN/ID/P`).
 *
 * A key ends in the one who asks, so no two participants write the same key. Each segment is percent-encoded by
 * `encodeURIComponent`, which any client in a browser has at hand; the Python SDK makes the same keys.
 */

import type * as Y from "yjs";
import { checked, checkedId, type Json } from "./json.ts";
import { checkRecord, type Limits } from "./limits.ts";
import { transact } from "./transact.ts";

const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** Percent-encodes one segment. A lone surrogate, which has no UTF-8, becomes U+FFFD. */
export function encodeSegment(segment: string): string {
  return encodeURIComponent(segment.toWellFormed());
}

/** The inverse of `encodeSegment`; what isn't encoded rightly is read as well as can be, as the Python SDK does. */
export function decodeSegment(segment: string): string {
  return segment.replace(/(?:%[0-9a-f]{2})+/gi, (encoded) => {
    const bytes = encoded.slice(1).split("%");
    return UTF8.decode(Uint8Array.from(bytes, (hex) => Number.parseInt(hex, 16)));
  });
}

export function joinKey(...segments: readonly string[]): string {
  return segments.map(encodeSegment).join("/");
}

export function requestKey(kind: string, subject: readonly string[], participant: string): string {
  return joinKey(kind, ...subject, participant);
}

/** Writes one request of `participant`, and returns its key; the server decides it and takes it away. */
export function ask(
  requests: Y.Map<Json>,
  kind: string,
  subject: readonly string[],
  participant: string,
  value: Json,
  limits: Limits,
): string {
  for (const segment of subject) checkedId(segment, `What a ${kind} is about`);
  const written = checked(value, `The ${kind}`);
  checkRecord(written, limits, `The ${kind}`);
  const key = requestKey(kind, subject, participant);
  transact(requests.doc, () => requests.set(key, written));
  return key;
}
