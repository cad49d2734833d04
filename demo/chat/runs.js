// The agents at work: one card per active run, with Stop, and a box to steer the answer while it grows.

import { mayStop } from "./access.js";
import { attempt, h, icon, keep, mark, request } from "./element.js";
import { object, text } from "./given.js";
import { avatar, person } from "./people.js";

export class RunCards {
  constructor(container, { onRefused }) {
    this.container = container;
    this.onRefused = onRefused;
    this.cards = new Map();
  }

  clear() {
    this.cards.clear();
    this.container.replaceChildren();
  }

  paint(session, work) {
    const active = new Map(work.open.map((run) => [run.id, run]));
    for (const [id, card] of this.cards) {
      if (active.has(id)) continue;
      const focused = card.element.contains(document.activeElement);
      card.element.remove();
      // The focus would go nowhere. On a phone the box would bring up the keyboard, so the conversation gets it.
      if (focused) document.getElementById(matchMedia("(hover: hover)").matches ? "composer" : "scroller").focus();
      this.cards.delete(id);
    }
    for (const [id, run] of active) {
      if (!this.cards.has(id)) {
        const card = new RunCard(session, run, this.onRefused);
        this.cards.set(id, card);
        this.container.append(card.element);
      }
      attempt(() => this.cards.get(id).paint(run, work.isAbandoned(run)));
    }
  }
}

class RunCard {
  constructor(session, run, onRefused) {
    const who = person(run.agent, session);
    this.session = session;
    this.onRefused = onRefused;
    this.name = who.name;
    this.label = h("span", { class: "run-label" });
    this.bar = h("progress", { hidden: true, "aria-label": "Progress" });
    this.stop = h("button", { type: "button", class: "button stop", "data-testid": "stop", onclick: () => this.cancel(run.id) },
      icon("stop"), h("span", {}, "Stop"));
    this.input = h("input", { class: "steer-input", "data-testid": "steer-input", "aria-label": `Steer ${who.name}`, maxlength: "2000",
      placeholder: "Steer the answer", autocomplete: "off", enterkeyhint: "send" });
    const steer = h("button", { class: "button", "data-testid": "steer-send" }, "Steer");
    this.form = h("form", { class: "steer-form" }, icon("steer"), this.input, steer);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.input.value.trim();
      if (!text) return;
      this.input.value = "";
      request(() => session.steer(run.id, text), onRefused).then((accepted) => accepted || (this.input.value ||= text));
    });
    this.element = h("section", { class: "run", "data-testid": "run", "data-run-id": run.id, "aria-label": `${who.name} at work` },
      h("div", { class: "run-line" }, avatar(who), this.label, this.bar, this.stop), this.form);
  }

  cancel(id) {
    if (this.isStopping) return;
    this.paintStopping(true);
    request(() => this.session.cancel(id), this.onRefused).then((accepted) => accepted || this.paintStopping(false));
  }

  /** Says whether the answer is being stopped. The button isn't disabled meanwhile: that would lose the focus. */
  paintStopping(isStopping) {
    this.isStopping = isStopping;
    keep(this.stop, "ariaDisabled", String(isStopping));
    keep(this.stop.lastElementChild, "textContent", isStopping ? "Stopping…" : "Stop");
  }

  paint(run, abandoned) {
    const { label, done, total } = object(run.progress);
    const said = text(label) || text(this.session.agents.get(run.agent)?.task);
    const waiting = run.status === "queued" ? "has this next" : "is answering";
    keep(this.label, "textContent", abandoned ? `${this.name} went away` : said || `${this.name} ${waiting}…`);
    mark(this.element, "abandoned", abandoned ? "" : null);
    this.form.hidden = abandoned || !this.session.may("steer"); // no process would read it
    this.bar.hidden = abandoned || !(Number.isFinite(total) && total > 0);
    if (!this.bar.hidden) {
      keep(this.bar, "max", total);
      keep(this.bar, "value", Number.isFinite(done) ? Math.min(done, total) : 0);
    }
    const stops = mayStop(this.session, run);
    keep(this.stop, "title", stops ? "" : "Your access doesn't include stopping this answer.");
    keep(this.stop, "disabled", !stops && !this.isStopping);
    if (run.cancel) this.paintStopping(true);
  }
}
