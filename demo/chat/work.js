// The agents' work under way. An agent that died can't say that its run is over: the page sees it in presence.

import { list } from "./given.js";

const ABSENT_MS = 5000; // longer than an agent needs to come back after a broken connection

export class Work {
  #silent = new Map(); // run → {message, since}: its agent isn't here, and the answer stands still
  #onChange;

  /** The runs that go on, as far as this page can tell. */
  open = [];

  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** Reads which agents are connected; to be called before painting. */
  look(session) {
    const here = new Set(session.presence.all.map(({ user }) => user.id));
    const told = session.status === "online" && session.synced; // else presence says nothing of others
    const silent = new Map();
    for (const run of told ? session.runs.active : []) {
      if (here.has(run.agent)) continue;
      const last = list(run.messages).at(-1);
      const message = last && session.messages.get(last);
      const known = this.#silent.get(run.id);
      if (known?.message === message && known) silent.set(run.id, known);
      else {
        silent.set(run.id, { message, since: performance.now() });
        setTimeout(this.#onChange, ABSENT_MS + 1);
      }
    }
    this.#silent = silent;
    // No process is left to obey the cancel, so it counts as obeyed.
    this.open = session.runs.active.filter((run) => !(run.cancel && this.isAbandoned(run)));
  }

  /** Whether the run's agent went away before it was done. */
  isAbandoned(run) {
    const since = this.#silent.get(run.id)?.since;
    return since !== undefined && performance.now() - since >= ABSENT_MS;
  }

  isOpen(run) {
    return this.open.some((each) => each.id === run.id);
  }
}
