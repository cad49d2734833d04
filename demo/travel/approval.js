// Approvals that agents ask for: participants edit the value while it is open, and the server counts the votes.

import { h, keep } from "../chat/element.js";
import { object, text } from "../chat/given.js";
import { tried } from "../chat/notice.js";
import { avatar, person } from "../chat/people.js";
import { Keyed } from "./keyed.js";

export class Approvals {
  #cards;

  constructor(list) {
    this.#cards = new Keyed(list, (approval) => new Card(this.session, approval));
  }

  clear() {
    this.#cards.clear();
  }

  /** Returns those that are open. */
  paint(session) {
    this.session = session;
    const { open } = session.approvals;
    this.#cards.paint(open);
    return open;
  }
}

class Card {
  constructor(session, { id, run, question, schema }) {
    this.session = session;
    this.fields = Object.entries(object(object(schema).properties)).filter(([, { type }]) => type === "number").map(([name, field]) => {
      const input = h("input", { type: "number", min: "0", "data-testid": `approval-${name}` });
      input.addEventListener("input", () => input.value && tried(() => session.approvals.edit(id, [name], Number(input.value))));
      return { name, input, label: h("label", {}, text(field.title) || name, input) };
    });
    const who = person(session.runs.get(run)?.agent, session);
    const vote = (decision) => () => tried(() => session.approvals.vote(id, decision));
    this.votes = h("p", { class: "hint" });
    this.buttons = [
      h("button", { type: "button", class: "button primary", "data-testid": "approve", onclick: vote("approved") }, "Approve"),
      h("button", { type: "button", class: "button", "data-testid": "reject", onclick: vote("rejected") }, "Reject"),
    ];
    this.element = h("section", { class: "approval", "data-testid": "approval" },
      h("p", { class: "approval-question" }, avatar(who), h("b", {}, text(question))),
      ...this.fields.map(({ label }) => label), h("div", { class: "approval-actions" }, ...this.buttons), this.votes);
  }

  paint({ value, votes, quorum, participants }) {
    for (const { name, input } of this.fields) {
      if (document.activeElement !== input) keep(input, "value", String(object(value)[name] ?? ""));
    }
    const may = this.session.may("approve") && (!participants.length || participants.includes(this.session.me.id));
    for (const button of this.buttons) button.disabled = !may;
    const voters = Object.keys(object(votes)).map((id) => person(id, this.session).name);
    const needed = quorum > 1 ? ` ${quorum} must agree.` : "";
    keep(this.votes, "textContent", voters.length ? `Voted: ${voters.join(", ")}.${needed}` : `Anybody here may decide.${needed}`);
  }
}
