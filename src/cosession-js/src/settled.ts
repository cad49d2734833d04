/** Waiting until a session is saved or synced, or can't become so any more. */

import type { Off } from "./events.ts";
import { Closed, Refused } from "./options.ts";
import type { Session } from "./session.ts";

/** Resolves when it is so; fails with `Refused` or `Closed`. Who waits for "saved" hears of a refused edit as well. */
export function settled(session: Session, what: "saved" | "synced"): Promise<void> {
  return new Promise((resolve, reject) => {
    const offs: Off[] = [];
    const end = (failure: Error | null): void => {
      for (const off of offs) off();
      if (failure === null) resolve();
      else reject(failure);
    };
    const look = (): void => {
      const { refusal, status } = session;
      if (session[what]) end(null);
      else if (refusal !== null) end(new Refused(refusal));
      else if (status === "closed") end(new Closed());
    };
    offs.push(session.on(what, look), session.on("status", look));
    if (what === "saved") offs.push(session.on("refused", (loss) => end(new Refused(loss))));
    look();
  });
}
