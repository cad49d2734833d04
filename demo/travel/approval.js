// What agents ask people to approve: the value can be edited by everybody while it is open, and the server counts votes.

import { h, keep } from "../chat/element.js";
import { object, text } from "../chat/given.js";
import { avatar, person } from "../chat/people.js";

export class Approvals {
  #list;
  #cards = new Map();

  constructor(list) {
    this.#list = list;
  }

  clear() {
    this.#cards.clear();
    this.#list.replaceChildren();
  }

  /** Returns how many are open. */
  paint(session) {
    const open = session.approvals.filter(({ decision }) => !decision);
    for (const approval of open) {
      if (!this.#cards.has(approval.id)) {
        const card = new Card(session, approval);
        this.#cards.set(approval.id, card);
        this.#list.append(card.element);
      }
      this.#cards.get(approval.id).paint(approval);
    }
    for (const [id, card] of this.#cards) {
      if (open.some((approval) => approval.id === id)) continue;
      card.element.remove();
      this.#cards.delete(id);
    }
    return open.length;
  }
}

class Card {
  constructor(session, { id, run, question, schema }) {
    this.session = session;
    this.fields = Object.entries(object(object(schema).properties)).filter(([, { type }]) => type === "number").map(([name, field]) => {
      const input = h("input", { type: "number", min: "0", "data-testid": `approval-${name}` });
      input.addEventListener("input", () => input.value && session.setValue(id, [name], Number(input.value)));
      return { name, input, label: h("label", {}, text(field.title) || name, input) };
    });
    const who = person(session.runs.find((each) => each.id === run)?.agent, session);
    const vote = (decision) => () => session.vote(id, decision);
    this.votes = h("p", { class: "hint" });
    this.buttons = [
      h("button", { type: "button", class: "button primary", "data-testid": "approve", onclick: vote("approved") }, "Approve"),
      h("button", { type: "button", class: "button", "data-testid": "reject", onclick: vote("rejected") }, "Reject"),
    ];
    this.element = h("section", { class: "approval", "data-testid": "approval" },
      h("p", { class: "approval-question" }, avatar(who), h("b", {}, text(question))),
      ...this.fields.map(({ label }) => label), h("div", { class: "approval-actions" }, ...this.buttons), this.votes);
  }

  paint({ value, votes, quorum, who }) {
    for (const { name, input } of this.fields) {
      if (document.activeElement !== input) keep(input, "value", String(object(value)[name] ?? ""));
    }
    const may = this.session.may("approve") && (!who?.length || who.includes(this.session.me.id));
    for (const button of this.buttons) button.disabled = !may;
    const voters = Object.keys(object(votes)).map((id) => person(id, this.session).name);
    const needed = quorum > 1 ? ` ${quorum} must agree.` : "";
    keep(this.votes, "textContent", voters.length ? `Voted: ${voters.join(", ")}.${needed}` : `Anybody here may decide.${needed}`);
  }
}
