/** The pause before the next attempt to connect: it grows with every failure, and is never the same for all clients. */

const FIRST_MS = 200;
/** The longest pause: people wait for the page to reconnect; longer ones cost them more than they save the server. */
const LONGEST_MS = 10_000;
/** The number of failures after which the pause is the longest; "too fast" counts as so many. */
const MANY = 6;
/** A connection that lasted this long resets the count of failures. */
const STEADY_MS = 10_000;

export class Pause {
  #failures = 0;
  #since: number | null = null;

  /** Records that the connection is in use. */
  began(): void {
    this.#since ??= Date.now();
  }

  /** Resets the failures: the network is back, or the application asked for another try. */
  reset(): void {
    this.#failures = 0;
  }

  /** Records the end of a connection or an attempt; returns the pause in milliseconds. */
  ended(isTooFast = false): number {
    if (this.#since !== null && Date.now() - this.#since >= STEADY_MS) this.#failures = 0;
    this.#since = null;
    if (isTooFast) this.#failures = MANY;
    const pause = Math.min(FIRST_MS * 2 ** this.#failures, LONGEST_MS);
    this.#failures = Math.min(this.#failures + 1, MANY);
    return pause * (0.5 + Math.random() / 2);
  }
}
