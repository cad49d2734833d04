/** Waiting for a condition of a session, until the session ends or a time is over. */

import { type Disconnected, InvalidValue, TimedOut, WriteRefused } from "./errors.ts";
import type { Off } from "./events.ts";
import type { SessionEvents } from "./options.ts";
import type { Refusal } from "./refusal.ts";

export interface Awaited {
  readonly error: Disconnected | null;
  on<Name extends keyof SessionEvents>(event: Name, listener: (value: SessionEvents[Name]) => void): Off;
}

export interface WaitOptions {
  /** How long to wait; undefined is for ever. */
  timeoutSeconds?: number | undefined;
}

interface Waiting extends WaitOptions {
  /** Subscribes to refused writes of this page, if each of them is a failure. */
  onRefused?: (listener: (refusal: Refusal) => void) => Off;
  /** How the error's sentence names the awaited condition when the time is over. */
  what?: string;
}

/** The longest time of a timer, in seconds. */
const LONGEST_SECONDS = 2 ** 31 / 1000 - 1;

/**
 * Resolves with the result of `look` as soon as it isn't undefined, calling it at each of the events.
 *
 * @throws Disconnected when the session is closed
 * @throws WriteRefused when a write of this page is refused, with `onRefused`
 * @throws TimedOut when the time is over
 */
export function waitFor<Value>(
  session: Awaited,
  events: readonly (keyof SessionEvents)[],
  look: () => Value | undefined,
  { timeoutSeconds, onRefused, what = "It" }: Waiting = {},
): Promise<Value> {
  const waiting = new Promise<Value>((resolve, reject) => {
    const offs: Off[] = [];
    const settle = (act: () => void): void => {
      for (const off of offs) off();
      act();
    };
    const again = (): void => {
      const value = look();
      const { error } = session;
      if (value !== undefined) settle(() => resolve(value));
      else if (error !== null) settle(() => reject(error));
    };
    if (timeoutSeconds !== undefined)
      offs.push(timer(timeoutSeconds, what, (over) => settle(() => reject(over))));
    offs.push(...[...events, "status" as const].map((event) => session.on(event, again)));
    if (onRefused !== undefined)
      offs.push(onRefused((refusal) => settle(() => reject(new WriteRefused(refusal)))));
    again();
  });
  return waiting;
}

/** Resolves as `promise` does, or rejects with `TimedOut` when the time is over. */
export function within<Value>(
  promise: Promise<Value>,
  { timeoutSeconds }: WaitOptions,
  what: string,
): Promise<Value> {
  if (timeoutSeconds === undefined) return promise;
  return new Promise((resolve, reject) => {
    const off = timer(timeoutSeconds, what, reject);
    promise.finally(off).then(resolve, reject);
  });
}

function timer(seconds: number, what: string, over: (error: TimedOut) => void): Off {
  if (!(seconds >= 0))
    throw new InvalidValue(`\`timeoutSeconds\` is a number of seconds, not ${String(seconds)}.`);
  const error = new TimedOut(`${what} took longer than ${seconds} seconds; it may still happen.`);
  const handle = setTimeout(() => over(error), Math.min(seconds, LONGEST_SECONDS) * 1000);
  return () => clearTimeout(handle);
}
