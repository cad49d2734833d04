/** The pause before the next attempt to connect: it grows with every failure, and is never the same for all clients. */

const FIRST_MS = 200;
/** People watch the page come back: longer pauses cost them more than they save the server. */
const LONGEST_MS = 10_000;
/** The failures after which the pause is the longest; also what "too fast" counts for. */
const MANY = 6;
/** A connection that lasted so long was none of the failures that follow each other. */
const STEADY_MS = 10_000;

export class Pause {
  #failures = 0;
  #since: number | null = null;

  /** The connection is in use. */
  began(): void {
    this.#since ??= Date.now();
  }

  /** Starts over: the network, or the application, says that it is worth a try. */
  reset(): void {
    this.#failures = 0;
  }

  /** The connection, or the attempt to connect, has ended; returns how long to wait, in milliseconds. */
  ended(isTooFast = false): number {
    if (this.#since !== null && Date.now() - this.#since >= STEADY_MS) this.#failures = 0;
    this.#since = null;
    if (isTooFast) this.#failures = MANY;
    const pause = Math.min(FIRST_MS * 2 ** this.#failures, LONGEST_MS);
    this.#failures = Math.min(this.#failures + 1, MANY);
    return pause * (0.5 + Math.random() / 2);
  }
}
