// The plan: facts of the trip, the itinerary with what it costs, and options to choose from. All of it is the session's
// state, so the agents read the changes that are made here by hand; they need no message.

import { h, keep, mark } from "../chat/element.js";
import { object } from "../chat/given.js";
import { tried } from "../chat/notice.js";
import { Itinerary, planned } from "./itinerary.js";
import { Offers } from "./offers.js";
import { paintSelections } from "./selection.js";

const FACTS = [["from", "From", "text"], ["to", "To", "text"], ["start", "Start", "text"], ["nights", "Nights", "number"], ["people", "People", "number"], ["budget", "Budget €", "number"]];

export class Plan {
  #facts = new Map();

  constructor(find) {
    this.trip = find("trip");
    this.none = find("no-plan");
    this.total = find("total");
    this.spent = find("spent");
    this.itinerary = new Itinerary(find("itinerary"), find("plan"), find("announce"));
    this.offers = new Offers(find("options"));
  }

  clear() {
    this.#facts.clear();
    this.trip.replaceChildren();
    this.itinerary.clear();
    this.offers.clear();
  }

  paint(session) {
    this.session = session;
    const trip = object(session.state.get(["trip"]));
    this.#paintFacts(trip);
    this.#paintCosts(planned(session).map(([, item]) => item), Number(trip.budget));
    this.itinerary.paint(session);
    this.offers.paint(session);
    paintSelections(session);
  }

  #paintFacts(trip) {
    this.trip.hidden = !Object.keys(trip).length;
    for (const [name, label, type] of FACTS) {
      if (!this.#facts.has(name)) this.#facts.set(name, this.#makeFact(name, label, type));
      const input = this.#facts.get(name);
      if (document.activeElement !== input) keep(input, "value", String(trip[name] ?? ""));
      input.disabled = !this.session.may(`state:trip/${name}`);
    }
  }

  #makeFact(name, label, type) {
    const input = h("input", { type, min: "0", "data-testid": `trip-${name}`, autocomplete: "off", spellcheck: "false", placeholder: name === "start" ? "any day" : null });
    input.addEventListener("change", () => {
      const value = type === "number" ? Number(input.value) : input.value.trim();
      tried(() => this.session.state.set(["trip", name], value));
    });
    this.trip.append(h("label", {}, label, input));
    return input;
  }

  #paintCosts(items, budget) {
    const costs = items.reduce((sum, item) => sum + (Number.isFinite(item.price) ? item.price : 0), 0);
    const isLimited = items.length > 0 && budget > 0;
    const isOver = isLimited && costs > budget;
    this.none.hidden = items.length > 0;
    keep(this.total, "textContent", items.length ? `${Math.round(costs)} €${isLimited ? ` of ${budget} €` : ""}` : "");
    this.spent.hidden = !isLimited;
    for (const element of [this.total, this.spent]) mark(element, "over", isOver ? "" : null);
    if (!isLimited) return;
    keep(this.spent, "max", budget);
    keep(this.spent, "value", Math.min(costs, budget));
  }
}
