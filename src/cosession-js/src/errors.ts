/** The errors of the client. Each has a stable `code` for programs, and a sentence that says what to do. */

import type { Refusal } from "./refusal.ts";

export class CosessionError extends Error {
  override readonly name: string = "CosessionError";
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** An argument that a session can't store: no JSON, too large, or nested too deep. Nothing of it was written. */
export class InvalidValue extends CosessionError {
  override readonly name = "InvalidValue";

  constructor(message: string) {
    super("value.invalid", message);
  }
}

/** A capability is missing: this page may not do that. */
export class NotAllowed extends CosessionError {
  override readonly name = "NotAllowed";
  /** The place in the document that may not be changed, if the server named it. */
  readonly touched: string;
  /** The capabilities of which one would have allowed it. */
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

/** The session is closed: nothing is sent any more, and further writes are not saved. */
export class Disconnected extends CosessionError {
  override readonly name: string = "Disconnected";
  /** Why the session ended; null after `close()`. */
  readonly refusal: Refusal | null;

  constructor(refusal: Refusal | null, message = refusal?.reason ?? "The session is over.") {
    super(refusal?.error ?? "session.over", message);
    this.refusal = refusal;
  }
}

/** The error of writes to a session after `close()`, and of waiting for something that can't happen any more. */
export class Closed extends Disconnected {
  override readonly name = "Closed";

  constructor() {
    super(null, "The session is closed; connect() anew to go on with it.");
  }
}

/** The error of `whenSynced()` and `whenSaved()` when the server refuses this page, or a write of it. */
export class Refused extends Disconnected {
  override readonly name = "Refused";
  declare readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal);
  }
}

/** Reports an error of a listener as an uncaught one of the page, with its own stack, and lets the caller continue. */
export function report(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
