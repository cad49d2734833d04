/**
 * Renewing a grant before it ends, on the open socket: with a function that gives tokens, a fresh one goes out in time.
 *
 * When the function fails it is asked again, until the server says that it is over.
 */

import type { Credential } from "./credential.ts";

/** When to renew: late enough to be rare, and early enough for several tries. */
const RENEW_AT = 0.8;
/** Between two renewals, and two tries: also where the clocks of server and browser differ. */
const SHORTEST_MS = 1_000;
/** What a timer can wait. */
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

  /** Plans to renew a grant; the plan before it is off. */
  plan(expiresAt: number | null): void {
    this.stop();
    if (expiresAt === null || !this.#credential.isRenewable) return;
    const left = expiresAt * 1000 - Date.now();
    const pause = Math.min(Math.max(left * RENEW_AT, SHORTEST_MS), LONGEST_MS);
    this.#timer = setTimeout(() => void this.#renew(expiresAt), pause);
  }

  /** The connection has ended: there is nothing to renew. */
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
