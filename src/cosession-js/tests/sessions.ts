/** What tests do with sessions: open them so that they end with the test, and wait for what must become true. */

import { onTestFinished, vi } from "vitest";
import { type ConnectOptions, connect, type Session, type SessionEvents } from "../src/index.ts";

export function open(url: string, id: string, options: ConnectOptions = {}): Session {
  const session = connect(url, id, options);
  onTestFinished(() => session.close());
  return session;
}

/** Resolves when `isSo` holds, looking at each of the session's events. The test's timeout is the limit. */
export function until(session: Session, isSo: () => boolean): Promise<void> {
  const events = ["change", "presence", "status", "saved", "synced"] satisfies (keyof SessionEvents)[];
  return new Promise((resolve) => {
    const look = (): void => {
      if (!isSo()) return;
      for (const off of offs) off();
      resolve();
    };
    const offs = events.map((event) => session.on(event, look));
    look();
  });
}

/** Asks again and again until what is checked holds; a busy machine is given half a minute. */
export function eventually<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, 30_000);
}
