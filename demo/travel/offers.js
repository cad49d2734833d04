// The options of the specialists: cards to choose from. A card that is chosen goes into the itinerary.

import { h, keep, mark } from "../chat/element.js";
import { objects, object, text } from "../chat/given.js";
import { tried } from "../chat/notice.js";
import { planned } from "./itinerary.js";
import { Keyed } from "./keyed.js";
import { price } from "./price.js";
import { selects } from "./selection.js";

const KINDS = [["flights", "Flights"], ["hotels", "Rooms"], ["activities", "Things to do"]];

export class Offers {
  #cards;

  constructor(list) {
    this.#cards = new Keyed(list, ({ option }) => (option ? new Card(this.session, option.id) : new Kind()));
  }

  clear() {
    this.#cards.clear();
  }

  paint(session) {
    this.session = session;
    const chosen = new Map(planned(session));
    this.#cards.paint(KINDS.flatMap(([kind, label]) => {
      const offered = objects(Object.values(object(session.state.get(["options", kind])))).filter(({ id }) => text(id));
      const cards = offered.sort((a, b) => (a.rank || 0) - (b.rank || 0)).map((option) => ({ id: option.id, option, isChosen: chosen.has(option.id) }));
      return cards.length ? [{ id: `kind ${kind}`, label }, ...cards] : [];
    }));
  }
}

class Kind {
  constructor() {
    this.element = h("h3", { class: "kind" });
  }

  paint({ label }) {
    keep(this.element, "textContent", label);
  }
}

class Card {
  constructor(session, id) {
    this.session = session;
    this.id = id;
    this.name = h("b", {});
    this.detail = h("small", {});
    this.why = h("em", {});
    this.cost = h("span", { class: "cost" });
    this.button = h("button", { type: "button", class: "button", "data-testid": "choose", onclick: () => this.choose() }, "Choose");
    this.element = h("div", { class: "option", "data-testid": "option", "data-item": id },
      h("div", { class: "item-what" }, this.name, this.detail, this.why), h("div", { class: "option-side" }, this.cost, this.button));
    selects(this.element, session, id);
  }

  paint({ option, isChosen }) {
    this.option = option;
    const begins = option.kind === "hotels" ? "" : text(option.time);
    keep(this.name, "textContent", text(option.title));
    keep(this.detail, "textContent", [begins, text(option.detail)].filter(Boolean).join(" · "));
    keep(this.why, "textContent", text(option.why));
    keep(this.cost, "textContent", price(option.price));
    mark(this.element, "chosen", isChosen ? "" : null);
    this.button.disabled = isChosen || !this.session.may(`state:itinerary/${this.id}`);
    keep(this.button, "textContent", isChosen ? "In the plan" : "Choose");
  }

  /** Puts it into the itinerary; another flight of the same way, or another hotel, makes room. */
  choose() {
    const { session } = this;
    const { id, rank, why, ...item } = this.option;
    tried(() => session.transact(() => {
      for (const [other, there] of planned(session)) {
        const isSame = there.kind === item.kind && there.leg === item.leg && item.kind !== "activities";
        if (isSame && there.status !== "booked") session.state.delete(["itinerary", other]);
      }
      session.state.set(["itinerary", id], { ...item, by: session.me.id, status: "chosen" });
    }));
  }
}
