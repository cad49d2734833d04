/**
 * Fences: the protocol behind "saved". No I/O here; fences are sent by a given function.
 *
 * After local edits a fence (a number) is sent to the server, which returns it when all frames before it on this
 * connection are committed to storage. The frames of one connection keep their order, so the echo vouches for every
 * edit made before its fence was sent. One fence is in flight at a time: its echo triggers the next when there were new
 * edits, so typing costs one fence per round trip. A fence of an earlier connection is ignored. `advance` is called
 * when all edits have been sent, and never before the server was sent all that it lacked (its sync step 1 answered).
 */

import type { Unsaved } from "./unsaved.ts";

export class Fences {
  readonly #changed: () => void;
  readonly #unsaved: Unsaved | null;
  readonly #plan: () => void;
  #edits = 0;
  #saved = 0;
  #number = 0;
  #flying: { readonly number: number; readonly edits: number; readonly clock: number } | null = null;
  #send: ((number: number) => void) | null = null;
  readonly #waiting: { readonly edits: number; readonly resolve: () => void }[] = [];

  /** `plan` schedules the sending of waiting edits, and then calls `advance`. */
  constructor(changed: () => void, plan: () => void, unsaved: Unsaved | null = null) {
    this.#changed = changed;
    this.#plan = plan;
    this.#unsaved = unsaved;
  }

  /** Whether every edit is known to be in the server's storage. */
  get saved(): boolean {
    return this.#saved === this.#edits;
  }

  /** The number of edits so far. */
  get edits(): number {
    return this.#edits;
  }

  /** Returns whether an edit, by its number from 1, is known to be in the server's storage. */
  hasSaved(edit: number): boolean {
    return edit <= this.#saved;
  }

  /** Records a local edit; its fence is sent after it. */
  edited(): void {
    this.#notifying(() => {
      this.#edits += 1;
    });
    this.#plan();
  }

  /** Resolves when all that came from the server so far, and all edits made here, are in its storage. */
  stored(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.edited();
    this.#waiting.push({ edits: this.#edits, resolve });
    return promise;
  }

  /** Starts sending fences: the server was sent all that it lacked, and from now on edits as they are made. */
  opened(send: (number: number) => void): void {
    this.#send = send;
    this.#flying = null;
    this.#plan();
  }

  /** Records the end of the connection: frames in flight may be lost. */
  closed(): void {
    this.#send = null;
    this.#flying = null;
  }

  /** Sends a fence if one is due: all edits have been sent. */
  advance(): void {
    if (this.#send === null || this.#flying !== null || this.saved) return;
    this.#number += 1;
    this.#flying = { number: this.#number, edits: this.#edits, clock: this.#unsaved?.ownClock ?? 0 };
    this.#send(this.#number);
  }

  /** Records a returned fence. */
  received(number: number): void {
    const flying = this.#flying;
    if (flying === null || flying.number !== number) return;
    this.#flying = null;
    this.#unsaved?.saved(flying.clock);
    this.#notifying(() => {
      this.#saved = flying.edits;
    });
    while (this.#waiting[0] !== undefined && this.#waiting[0].edits <= flying.edits)
      this.#waiting.shift()?.resolve();
    this.#plan();
  }

  #notifying(change: () => void): void {
    const before = this.saved;
    change();
    if (this.saved !== before) this.#changed();
  }
}
