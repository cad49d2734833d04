/** The errors of the client. Each class has a stable `code` for programs, and a sentence that says what to do next. */

import type { Refusal } from "./refusal.ts";

interface CosessionErrorOptions extends ErrorOptions {
  /** Whether the same call may succeed later. */
  retryable?: boolean;
}

/** The base of all errors that the client throws on purpose. */
export class CosessionError extends Error {
  override readonly name: string = "CosessionError";
  /** The stable code, e.g. `auth.forbidden`. */
  readonly code: string;
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;

  constructor(code: string, message: string, { retryable = false, ...options }: CosessionErrorOptions = {}) {
    super(message, options);
    this.code = code;
    this.retryable = retryable;
  }
}

/** An argument that a session can't store: no JSON, too large, or nested too deep. Nothing of it was written. */
export class InvalidValue extends CosessionError {
  override readonly name = "InvalidValue";
  /** The place of the invalid part in the argument, e.g. `hotel.price`; empty for the argument itself. */
  readonly path: string;

  constructor(message: string, { path = "", code = "value.invalid" }: { path?: string; code?: string } = {}) {
    super(code, message);
    this.path = path;
  }
}

/** The kind of a thing that has an id; empty when the server doesn't say it. */
export type IdKind = "session" | "message" | "run" | "approval" | "prompt" | "";

interface IdOptions {
  kind?: IdKind;
  id?: string;
  code?: string;
}

/** The session has nothing with this id. */
export class NotFound extends CosessionError {
  override readonly name: string = "NotFound";
  readonly kind: IdKind;
  readonly id: string;

  constructor(message: string, { kind = "", id = "", code = "id.unknown" }: IdOptions = {}) {
    super(code, message);
    this.kind = kind;
    this.id = id;
  }
}

/** It was deleted. */
export class Gone extends NotFound {
  override readonly name = "Gone";

  constructor(message: string, { code = "id.gone", ...options }: IdOptions = {}) {
    super(message, { ...options, code });
  }
}

/** A capability is missing: this page may not do that. */
export class NotAllowed extends CosessionError {
  override readonly name = "NotAllowed";
  /** The place in the document that may not be changed, e.g. `messages/*\/stamp`; empty when there is none. */
  readonly touched: string;
  /** The capabilities of which one would have allowed it; empty when the server didn't name them. */
  readonly needs: readonly string[];

  constructor(
    message: string,
    { touched = "", needs = [] }: { touched?: string; needs?: readonly string[] } = {},
  ) {
    super("auth.forbidden", message);
    this.touched = touched;
    this.needs = needs;
  }
}

/** The token is missing, invalid or expired. */
export class NotAuthenticated extends CosessionError {
  override readonly name = "NotAuthenticated";

  constructor(message: string) {
    super("auth.required", message);
  }
}

/** The state of the thing excludes the action: the run has ended, the approval is closed, the id is taken. */
export class Conflict extends CosessionError {
  override readonly name = "Conflict";

  constructor(message: string, { code = "state.conflict" }: { code?: string } = {}) {
    super(code, message);
  }
}

/** The server can't do it now: it is full, stopping, or its storage fails. */
export class Unavailable extends CosessionError {
  override readonly name = "Unavailable";

  constructor(message: string, { code = "server.unavailable" }: { code?: string } = {}) {
    super(code, message, { retryable: true });
  }
}

/** The server refused a write of this page; the session goes on with the server's document. */
export class WriteRefused extends CosessionError {
  override readonly name = "WriteRefused";
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super("client.write_refused", refusal.reason);
    this.refusal = refusal;
  }
}

/** The session is closed: by `close()`, or by a final refusal of the server, whose code this error has. */
export class Disconnected extends CosessionError {
  override readonly name = "Disconnected";
  /** The close code of the server, 4400 to 4499; null after `close()`. */
  readonly close: number | null;
  /** The texts that were written here, that the server lacks, and that won't be sent any more. */
  readonly lost: readonly string[];

  /** `refusal` is null when this page closed the session. */
  constructor(refusal: Pick<Refusal, "code" | "close" | "reason"> | null, lost: readonly string[] = []) {
    super(
      refusal?.code ?? "client.disconnected",
      refusal?.reason ?? "The session is closed; call connect() again to go on with it.",
    );
    this.close = refusal?.close ?? null;
    this.lost = lost;
  }
}

/** The time that the caller gave is over. Nothing was withdrawn: the result may still come. */
export class TimedOut extends CosessionError {
  override readonly name = "TimedOut";

  constructor(message: string) {
    super("client.timed_out", message, { retryable: true });
  }
}

/** Another page or process holds the claim. */
export class ClaimHeld extends CosessionError {
  override readonly name = "ClaimHeld";
  /** The id of the participant that holds it; null when it isn't known. */
  readonly by: string | null;

  constructor(message: string, by: string | null = null) {
    super("claim.held", message, { retryable: true });
    this.by = by;
  }
}

/** The claim is held no longer: stop acting on it. */
export class ClaimLost extends CosessionError {
  override readonly name = "ClaimLost";

  constructor(message: string) {
    super("claim.lost", message);
  }
}

const INVALID: ReadonlySet<string> = new Set([
  "document.invalid",
  "frame.malformed",
  "limit.too_large",
  "request.invalid",
  "session.bad_id",
]);
const CONFLICTS: ReadonlySet<string> = new Set([
  "approval.closed",
  "client.id_taken",
  "message.exists",
  "run.ended",
  "run.superseded",
  "session.exists",
  "tool.closed",
]);
const UNKNOWN: Readonly<Record<string, IdKind>> = {
  "approval.unknown": "approval",
  "run.unknown": "run",
  "session.unknown": "session",
};
const UNAVAILABLE: ReadonlySet<string> = new Set([
  "auth.keys_unavailable",
  "limit.too_fast",
  "limit.too_many_connections",
  "limit.too_slow",
  "room.broken",
  "server.busy",
  "server.full",
  "server.shutting_down",
  "session.unreadable",
  "storage.failed",
]);

/**
 * Returns the error of a code that the server sent.
 *
 * @param about - the place that was touched, and the id that the call was about, if there is one
 */
export function errorFrom(
  code: string,
  message: string,
  { touched = "", id = "" }: { touched?: string; id?: string } = {},
): CosessionError {
  if (code === "auth.forbidden") return new NotAllowed(message, { touched });
  if (code === "auth.required") return new NotAuthenticated(message);
  if (code === "session.deleted") return new Gone(message, { kind: "session", id, code });
  if (code === "claim.held") return new ClaimHeld(message);
  if (INVALID.has(code)) return new InvalidValue(message, { code });
  if (CONFLICTS.has(code)) return new Conflict(message, { code });
  if (UNAVAILABLE.has(code)) return new Unavailable(message, { code });
  const kind = Object.hasOwn(UNKNOWN, code) ? UNKNOWN[code] : undefined;
  return kind === undefined ? new CosessionError(code, message) : new NotFound(message, { kind, id, code });
}

/** Reports an error of a listener as an uncaught one of the page, with its own stack, and lets the caller continue. */
export function report(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
