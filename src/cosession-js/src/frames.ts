/** The frames of a connection: y-websocket's, and those that cosession adds for clients that ask for them (`ext=1`). */

import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";

export const SYNC = 0;
export const AWARENESS = 1;
export const QUERY_AWARENESS = 3;
/** Client → server → client: a number that is returned when all frames sent before it are committed. */
export const FENCE = 102;
/** Server → client: JSON, a notice about a frame of this client. */
export const NOTICE = 103;
/** Server → client: JSON, the identity and capabilities of this page. Client → server: a fresh token. */
export const GRANT = 104;

/** The steps of a sync frame: a state vector, the answer to one, and a change. */
export const ASK = 0;
export const ANSWER = 1;
export const UPDATE = 2;

type Frame = Uint8Array<ArrayBuffer>;

/** A frame of the server, of one of the types that this client knows. */
export type Received =
  | { readonly kind: typeof SYNC; readonly step: number; readonly bytes: Uint8Array }
  | { readonly kind: typeof AWARENESS; readonly bytes: Uint8Array }
  | { readonly kind: typeof QUERY_AWARENESS }
  | { readonly kind: typeof FENCE; readonly number: number }
  | { readonly kind: typeof NOTICE | typeof GRANT; readonly json: string };

/**
 * Parses a frame; null when it is of a type that this client doesn't know.
 *
 * @throws Error when it ends in the middle
 */
export function readFrame(data: Uint8Array): Received | null {
  const decoder = decoding.createDecoder(data);
  const kind = decoding.readVarUint(decoder);
  switch (kind) {
    case SYNC:
      return { kind, step: decoding.readVarUint(decoder), bytes: decoding.readVarUint8Array(decoder) };
    case AWARENESS:
      return { kind, bytes: decoding.readVarUint8Array(decoder) };
    case QUERY_AWARENESS:
      return { kind };
    case FENCE:
      return { kind, number: decoding.readVarUint(decoder) };
    case NOTICE:
    case GRANT:
      return { kind, json: decoding.readVarString(decoder) };
    default:
      return null;
  }
}

export function syncFrame(step: number, bytes: Uint8Array): Frame {
  return frame(SYNC, (encoder) => {
    encoding.writeVarUint(encoder, step);
    encoding.writeVarUint8Array(encoder, bytes);
  });
}

export function awarenessFrame(update: Uint8Array): Frame {
  return frame(AWARENESS, (encoder) => encoding.writeVarUint8Array(encoder, update));
}

export function fenceFrame(number: number): Frame {
  return frame(FENCE, (encoder) => encoding.writeVarUint(encoder, number));
}

export function tokenFrame(token: string): Frame {
  return frame(GRANT, (encoder) => encoding.writeVarString(encoder, token));
}

function frame(kind: number, write: (encoder: encoding.Encoder) => void): Frame {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, kind);
  write(encoder);
  return encoding.toUint8Array(encoder);
}
