/**
 * Renewal of a grant before it expires, on the open socket: with a token function, a fresh token is sent in time.
 *
 * When the function fails it is called again, until the server ends the connection.
 */

import type { Credential } from "./credential.ts";

/** The fraction of the remaining time after which to renew: late enough to be rare, early enough for more tries. */
const RENEW_AT = 0.8;
/** The least time between two renewals or tries, also where the clocks of server and browser differ. */
const SHORTEST_MS = 1_000;
/** The longest time that a timer can wait. */
const LONGEST_MS = 2 ** 31 - 1;

export class Renewal {
  readonly #credential: Credential;
  readonly #send: (token: string) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #plans = 0;

  constructor(credential: Credential, send: (token: string) => void) {
    this.#credential = credential;
    this.#send = send;
  }

  /** Schedules the renewal of a grant, in place of the one before. */
  plan(expiresAt: number | null): void {
    this.stop();
    if (expiresAt === null || !this.#credential.isRenewable) return;
    const left = expiresAt * 1000 - Date.now();
    const pause = Math.min(Math.max(left * RENEW_AT, SHORTEST_MS), LONGEST_MS);
    this.#timer = setTimeout(() => void this.#renew(expiresAt), pause);
  }

  /** Cancels the renewal: the connection has ended. */
  stop(): void {
    this.#plans += 1;
    clearTimeout(this.#timer);
  }

  async #renew(expiresAt: number): Promise<void> {
    const plan = this.#plans;
    const token = await this.#credential.fresh().catch(() => undefined);
    if (plan !== this.#plans) return;
    if (token === undefined) this.plan(expiresAt);
    else this.#send(token);
  }
}
