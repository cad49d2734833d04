/** Iteration over the values of an event. */

import type { Disconnected } from "./errors.ts";
import type { Off } from "./events.ts";

/** The most values that wait for a slow reader, of an event whose values all count; then the oldest is dropped. */
const MOST_WAITING = 1024;

export interface Source<Value> {
  /** The session that the values come from. */
  readonly session: {
    readonly error: Disconnected | null;
    on(event: "status", listener: () => void): Off;
  };
  /** Subscribes to the values. */
  subscribe(next: (value: Value) => void): Off;
  /** Returns the value in place of an unread one and a newer one, as with snapshots; null when all values count. */
  readonly merge: ((unread: Value, next: Value) => Value) | null;
}

/**
 * Iterates over values as they come, from the first call of `next` on. The iteration ends when this page closes the
 * session, and throws the session's error when the server does.
 */
export function iterate<Value>({ session, subscribe, merge }: Source<Value>): AsyncIterable<Value> {
  return {
    [Symbol.asyncIterator]() {
      const values: Value[] = [];
      let isDone = false;
      let wake = (): void => {};
      const offs = [
        subscribe((value) => {
          const unread = merge === null ? undefined : values.pop();
          values.push(merge === null || unread === undefined ? value : merge(unread, value));
          if (values.length > MOST_WAITING) values.shift();
          wake();
        }),
        session.on("status", () => wake()),
      ];
      const end = (): IteratorResult<Value> => {
        isDone = true;
        for (const off of offs) off();
        wake();
        return { done: true, value: undefined };
      };
      return {
        async next() {
          while (!isDone && values.length === 0 && session.error === null)
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          if (isDone) return end();
          if (values.length > 0) return { done: false, value: values.shift() as Value };
          const { error } = session;
          end();
          if (error === null || error.close === null) return { done: true, value: undefined };
          throw error;
        },
        async return() {
          return end();
        },
      };
    },
  };
}
