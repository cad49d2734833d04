// The team: a card for each agent that belongs to the session. Whether one is here says presence, not the agent itself.

import { mayStop } from "../chat/access.js";
import { h, icon, keep, mark, request } from "../chat/element.js";
import { object, text } from "../chat/given.js";
import { avatar, person } from "../chat/people.js";
import { Keyed } from "./keyed.js";

const ENDED = ["complete", "cancelled", "error"];

export class Team {
  #list;
  #cards;

  constructor(list, { onRefused }) {
    this.#list = list;
    this.#cards = new Keyed(list, ({ id }) => new Card(this.session, id, onRefused));
  }

  clear() {
    this.#cards.clear();
  }

  /** Returns how each is: `ready`, `working`, `waiting` or `gone`. */
  paint(session) {
    this.session = session;
    const ids = new Set([...session.policy.agents, ...session.agents.all.map(({ id }) => id)]);
    this.#cards.paint([...ids].map((id) => ({ id })));
    return [...this.#list.children].map(({ dataset }) => dataset.state);
  }
}

class Card {
  constructor(session, id, onRefused) {
    this.session = session;
    this.onRefused = onRefused;
    this.id = id;
    this.face = h("span", {});
    this.name = h("b", { class: "agent-name" });
    this.says = h("span", { class: "agent-state" });
    this.task = h("p", { class: "agent-task" });
    this.bar = h("progress", { "aria-label": "Progress", max: "1", value: "0", hidden: true });
    this.again = h("p", { class: "agent-again", hidden: true });
    this.stop = h("button", { type: "button", class: "icon-button stop", title: "Stop", "data-testid": "stop", onclick: () => this.cancel() }, icon("stop"));
    this.element = h("li", { class: "agent", "data-testid": `agent-${id}`, "data-agent": id },
      h("div", { class: "agent-head" }, this.face, h("div", { class: "agent-who" }, this.name, this.says), this.stop),
      this.task, this.bar, this.again);
  }

  get run() {
    return this.session.runs.all.findLast(({ agent, status }) => agent === this.id && !ENDED.includes(status));
  }

  cancel() {
    const { run } = this;
    if (run) request(() => this.session.cancel(run.id), this.onRefused);
  }

  paint() {
    const { session, id, run } = this;
    const who = { ...person(id, session), kind: "agent" };
    const name = who.name === "Someone" ? id[0].toUpperCase() + id.slice(1) : who.name;
    if (name !== this.name.textContent) {
      this.face.replaceChildren(avatar(who));
      keep(this.name, "textContent", name);
      keep(this.stop, "ariaLabel", `Stop ${name}`);
    }
    const isHere = session.people.get(id).online;
    const isGone = run ? run.status === "lost" || !run.attended : !isHere;
    const state = isGone ? "gone" : run?.status === "suspended" ? "waiting" : run ? "working" : "ready";
    mark(this.element, "state", state);
    keep(this.says, "textContent", { gone: run ? "went away" : "is not here", waiting: "waits for you", working: "at work", ready: "online" }[state]);
    const { label, done, total } = object(run?.progress);
    const told = text(label) || text(session.agents.get(id)?.task);
    keep(this.task, "textContent", run ? (isGone ? "Its work waits until it is back." : told) : "");
    this.bar.hidden = !run || !(total > 0);
    keep(this.bar, "value", total > 0 && Number.isFinite(done) ? Math.min(1, done / total) : 0);
    this.again.hidden = !run || !(run.epoch > 1);
    keep(this.again, "textContent", `taken up again, attempt ${run?.epoch}`);
    this.stop.hidden = !run || isGone;
    this.stop.disabled = !run || Boolean(run.cancel) || !mayStop(session, run);
  }
}
