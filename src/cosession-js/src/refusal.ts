/** Refusals: the server's answer to a write, a request or a connection that it doesn't accept. */

import { isObject } from "./json.ts";

/** A write or a request of this page that the server refused, or the connection itself. */
export interface Refusal {
  /** The code of the error, e.g. `auth.forbidden`. */
  readonly code: string;
  /** The close code, 4400 to 4499; null when the connection went on. */
  readonly close: number | null;
  /** A sentence that says what to do. */
  readonly reason: string;
  /** The place in the document that may not be changed, e.g. `messages/*\/stamp`; empty when there is none. */
  readonly touched: string;
  /** The texts that were written here and that the server lacks; no other client has them. */
  readonly lost: readonly string[];
  /** All writes that are lost, as a Yjs update; null when nothing is lost, or when it can't be encoded. */
  readonly update: Uint8Array | null;
  /** Whether it ended the session; otherwise this page continues with the server's document. */
  readonly final: boolean;
}

/** The server's notice of a refusal, as far as it can be parsed. */
export interface Notice {
  /** The code of the error; empty when the server sent none. */
  readonly code: string;
  readonly reason: string;
  readonly touched: string;
  /** The key of the refused request; empty if it was none. */
  readonly request: string;
  /** Whether the connection is closed after it. */
  readonly final: boolean;
}

const CODES: Readonly<Record<number, string>> = {
  4400: "frame.malformed",
  4401: "auth.required",
  4403: "auth.forbidden",
  4404: "session.unknown",
  4409: "client.id_taken",
  4410: "session.deleted",
  4413: "limit.too_large",
  4422: "session.damaged",
};

/** Returns a refusal that costs nothing by itself. */
export function refusalFrom(
  said: Pick<Refusal, "code" | "reason"> & Partial<Refusal>,
  close: number | null,
): Refusal {
  const { code, reason, touched = "", final = close !== null } = said;
  const known = code || (close === null ? "" : (CODES[close] ?? "")) || "server.refused";
  return Object.freeze({ code: known, close, reason, touched, lost: [], update: null, final });
}

/** Parses a notice; null when it is no object. */
export function noticeFrom(json: string): Notice | null {
  const said: unknown = JSON.parse(json);
  if (!isObject(said)) return null;
  const text = (value: unknown): string => (typeof value === "string" ? value : "");
  return {
    code: text(said.code),
    reason: text(said.reason),
    touched: text(said.touched),
    request: text(said.request),
    final: said.final !== false,
  };
}
