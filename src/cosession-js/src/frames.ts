/** The frames that cosession adds to y-websocket's, for clients that ask for them with `ext=1`. */

import * as encoding from "lib0/encoding";

/** Client → server → client: a number that comes back when all that was sent before it is committed. */
export const FENCE = 102;
/** Server → client: JSON, before a refusal closes the connection. */
export const NOTICE = 103;
/** Server → client: JSON, what this page may do. Client → server: a fresh token. */
export const GRANT = 104;

export function fenceFrame(number: number): Uint8Array<ArrayBuffer> {
  return frame(FENCE, (encoder) => encoding.writeVarUint(encoder, number));
}

export function tokenFrame(token: string): Uint8Array<ArrayBuffer> {
  return frame(GRANT, (encoder) => encoding.writeVarString(encoder, token));
}

function frame(kind: number, write: (encoder: encoding.Encoder) => void): Uint8Array<ArrayBuffer> {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, kind);
  write(encoder);
  return encoding.toUint8Array(encoder);
}
