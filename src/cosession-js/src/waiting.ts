/** Waiting for a condition of a session, until the session ends. */

import { Closed, Refused } from "./errors.ts";
import type { Off } from "./events.ts";
import type { Loss, SessionEvents } from "./options.ts";
import type { Refusal } from "./refusal.ts";
import type { Status } from "./transport.ts";

export interface Awaited {
  readonly status: Status;
  readonly refusal: Refusal | null;
  on<Name extends keyof SessionEvents & string>(
    event: Name,
    listener: (value: SessionEvents[Name]) => void,
  ): Off;
}

/**
 * Resolves with the result of `look` as soon as it isn't undefined, calling it at each of the events; fails with
 * `Refused` or `Closed` when that can't happen any more.
 *
 * @param onLoss - subscribes to losses of this page's writes, if each of them is a failure
 */
export function waitFor<Value>(
  session: Awaited,
  events: readonly (keyof SessionEvents & string)[],
  look: () => Value | undefined,
  onLoss?: (listener: (loss: Loss) => void) => Off,
): Promise<Value> {
  return new Promise((resolve, reject) => {
    const offs: Off[] = [];
    const settle = (act: () => void): void => {
      for (const off of offs) off();
      act();
    };
    const again = (): void => {
      const value = look();
      const { refusal } = session;
      if (value !== undefined) settle(() => resolve(value));
      else if (refusal !== null) settle(() => reject(new Refused(refusal)));
      else if (session.status === "closed") settle(() => reject(new Closed()));
    };
    offs.push(...[...events, "status" as const].map((event) => session.on(event, again)));
    if (onLoss !== undefined) offs.push(onLoss((loss) => settle(() => reject(new Refused(loss)))));
    again();
  });
}
