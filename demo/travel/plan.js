// The plan: facts of the trip, the itinerary, and options to choose from. All of it is the session's state, so what one
// does here by hand is what the agents read; the chat needs no word of it.

import { h, icon, keep, mark } from "../chat/element.js";
import { object, objects, text } from "../chat/given.js";
import { person } from "../chat/people.js";

const FACTS = [["from", "From", "text"], ["to", "To", "text"], ["start", "Start", "text"], ["nights", "Nights", "number"], ["people", "People", "number"], ["budget", "Budget €", "number"]];
const KINDS = [["flights", "Flights"], ["hotels", "Rooms"], ["activities", "Things to do"]];

const price = (value) => (Number.isFinite(value) ? (value ? `${Math.round(value)} €` : "free") : "");
const byTime = ([, a], [, b]) => (a.day || 0) - (b.day || 0) || text(a.time).localeCompare(text(b.time));

export class Plan {
  #facts = new Map();
  #rows = new Map();
  #days = new Map();
  #cards = new Map();

  constructor(find) {
    this.trip = find("trip");
    this.list = find("itinerary");
    this.options = find("options");
    this.none = find("no-plan");
    this.total = find("total");
    this.spent = find("spent");
  }

  clear() {
    for (const map of [this.#facts, this.#rows, this.#days, this.#cards]) map.clear();
    for (const element of [this.trip, this.list, this.options]) element.replaceChildren();
  }

  paint(session) {
    this.session = session;
    const items = Object.entries(object(session.state.get(["itinerary"]))).filter(([, item]) => item === object(item)).sort(byTime);
    this.paintFacts(object(session.state.get(["trip"])));
    this.paintItems(items);
    this.paintOptions(new Set(items.map(([id]) => id)));
    this.paintSelections();
  }

  paintFacts(trip) {
    this.trip.hidden = !Object.keys(trip).length;
    for (const [name, label, type] of FACTS) {
      let input = this.#facts.get(name);
      if (!input) {
        input = h("input", { type, min: "0", "data-testid": `trip-${name}`, autocomplete: "off", spellcheck: "false" });
        input.addEventListener("change", () => this.session.state.set(["trip", name], type === "number" ? Number(input.value) : input.value.trim()));
        this.#facts.set(name, input);
        this.trip.append(h("label", {}, label, input));
      }
      if (document.activeElement !== input) keep(input, "value", String(trip[name] ?? ""));
      input.disabled = !this.session.may(`state:trip/${name}`);
    }
  }

  paintItems(items) {
    const costs = items.reduce((sum, [, item]) => sum + (Number.isFinite(item.price) ? item.price : 0), 0);
    const budget = Number(object(this.session.state.get(["trip"])).budget);
    this.none.hidden = items.length > 0;
    keep(this.total, "textContent", items.length ? `${Math.round(costs)} €${budget > 0 ? ` of ${budget} €` : ""}` : "");
    mark(this.total, "over", budget > 0 && costs > budget ? "" : null);
    this.spent.hidden = !(items.length && budget > 0);
    if (!this.spent.hidden) {
      keep(this.spent, "max", budget);
      keep(this.spent, "value", Math.min(costs, budget));
      mark(this.spent, "over", costs > budget ? "" : null);
    }
    const days = [...new Set(items.map(([, { day }]) => Number(day) || 0))];
    const wanted = [];
    for (const day of days) {
      if (!this.#days.has(day)) this.#days.set(day, this.makeDay(day));
      wanted.push(this.#days.get(day));
      for (const [id, item] of items.filter(([, each]) => (Number(each.day) || 0) === day)) {
        if (!this.#rows.has(id)) this.#rows.set(id, new Row(this, id));
        this.#rows.get(id).paint(item);
        wanted.push(this.#rows.get(id).element);
      }
    }
    for (const id of this.#rows.keys()) if (!items.some(([each]) => each === id)) this.#rows.delete(id);
    arrange(this.list, wanted);
  }

  makeDay(day) {
    const head = h("h3", { class: "day", "data-day": String(day) }, day ? `Day ${day}` : "Some day");
    head.addEventListener("dragover", (event) => event.preventDefault());
    head.addEventListener("drop", (event) => this.drop(event, day));
    return head;
  }

  /** Moves what was dragged to a day. */
  drop(event, day) {
    event.preventDefault();
    const id = event.dataTransfer.getData("text/plain");
    if (this.#rows.has(id)) this.session.state.set(["itinerary", id, "day"], day);
  }

  paintOptions(chosen) {
    const wanted = [];
    for (const [kind, label] of KINDS) {
      const offered = objects(Object.values(object(this.session.state.get(["options", kind])))).filter(({ id }) => text(id)).sort((a, b) => (a.rank || 0) - (b.rank || 0));
      if (!offered.length) continue;
      if (!this.#cards.has(kind)) this.#cards.set(kind, h("h3", { class: "kind" }, label));
      wanted.push(this.#cards.get(kind));
      for (const option of offered) {
        if (!this.#cards.has(option.id)) this.#cards.set(option.id, new OptionCard(this, option.id));
        const card = this.#cards.get(option.id);
        card.paint(option, chosen.has(option.id));
        wanted.push(card.element);
      }
    }
    arrange(this.options, wanted);
  }

  /** Puts an option into the itinerary; another flight of the same way, or another hotel, makes room. */
  choose(option) {
    const { session } = this;
    const { id, rank, why, ...item } = option;
    session.doc.transact(() => {
      for (const [other, there] of Object.entries(object(session.state.get(["itinerary"])))) {
        const isSame = there.kind === option.kind && there.leg === option.leg && option.kind !== "activities";
        if (isSame && there.status !== "booked") session.state.delete(["itinerary", other]);
      }
      session.state.set(["itinerary", id], { ...item, by: session.me.id, status: "chosen" });
    });
  }

  /** Shows what others have selected, in their colours. */
  paintSelections() {
    const { session } = this;
    const selected = new Map();
    for (const { id, online } of session.people) {
      const item = text(session.selections.get(id, "item"));
      if (id !== session.me.id && online && item) selected.set(item, person(id, session));
    }
    for (const element of document.querySelectorAll("[data-item]")) {
      const who = selected.get(element.dataset.item);
      mark(element, "selectedBy", who?.name ?? null);
      if (who) element.style.setProperty("--person", who.color);
    }
  }
}

class Row {
  constructor(plan, id) {
    this.plan = plan;
    this.id = id;
    this.time = h("input", { class: "time", inputmode: "numeric", maxlength: "5", "aria-label": "Time", autocomplete: "off", "data-testid": "item-time" });
    this.time.addEventListener("change", () => {
      const [, hour, minute] = /^(\d?\d)\D?(\d\d)?$/.exec(this.time.value.trim()) ?? [];
      if (hour < 24 && !(minute > 59)) this.set("time", `${hour.padStart(2, "0")}:${minute ?? "00"}`);
      this.time.blur();
    });
    this.name = h("b", {});
    this.detail = h("small", {});
    this.cost = h("span", { class: "cost" });
    this.booked = h("span", { class: "booked", hidden: true });
    this.remove = h("button", { type: "button", class: "icon-button", "data-testid": "item-delete", onclick: () => plan.session.state.delete(["itinerary", id]) }, icon("trash"));
    this.element = h("div", { class: "item", "data-testid": "item", "data-item": id, draggable: "true", tabindex: "-1" },
      this.time, h("div", { class: "item-what" }, this.name, this.detail, this.booked), this.cost, this.remove);
    this.element.addEventListener("focusin", () => plan.session.selections.set("item", id));
    this.element.addEventListener("focusout", () => plan.session.selections.set("item", null));
    this.element.addEventListener("dragstart", (event) => event.dataTransfer.setData("text/plain", id));
    this.element.addEventListener("dragover", (event) => event.preventDefault());
    this.element.addEventListener("drop", (event) => plan.drop(event, this.day));
  }

  set(name, value) {
    this.plan.session.state.set(["itinerary", this.id, name], value);
  }

  paint(item) {
    this.day = Number(item.day) || 0;
    mark(this.element, "kind", text(item.kind));
    if (document.activeElement !== this.time) keep(this.time, "value", text(item.time));
    keep(this.name, "textContent", text(item.title) || this.id);
    const by = text(item.by);
    const chooser = by && by !== "planner" ? ` · ${person(by, this.plan.session).name}` : "";
    keep(this.detail, "textContent", text(item.detail) + chooser);
    keep(this.cost, "textContent", price(item.price));
    const isBooked = item.status === "booked";
    mark(this.element, "booked", isBooked ? "" : null);
    this.booked.hidden = !isBooked;
    keep(this.booked, "textContent", `Booked ${text(item.reference)}`);
    keep(this.remove, "ariaLabel", `Delete ${text(item.title)}`);
  }
}

class OptionCard {
  constructor(plan, id) {
    this.plan = plan;
    this.name = h("b", {});
    this.detail = h("small", {});
    this.why = h("em", {});
    this.cost = h("span", { class: "cost" });
    this.choose = h("button", { type: "button", class: "button", "data-testid": "choose", onclick: () => plan.choose(this.option) }, "Choose");
    this.element = h("div", { class: "option", "data-testid": "option", "data-item": id },
      h("div", { class: "item-what" }, this.name, this.detail, this.why), h("div", { class: "option-side" }, this.cost, this.choose));
    this.element.addEventListener("focusin", () => plan.session.selections.set("item", id));
    this.element.addEventListener("focusout", () => plan.session.selections.set("item", null));
  }

  paint(option, isChosen) {
    this.option = option;
    keep(this.name, "textContent", text(option.title));
    keep(this.detail, "textContent", text(option.detail));
    keep(this.why, "textContent", text(option.why));
    keep(this.cost, "textContent", price(option.price));
    mark(this.element, "chosen", isChosen ? "" : null);
    this.choose.disabled = isChosen;
    keep(this.choose, "textContent", isChosen ? "In the plan" : "Choose");
  }
}

/** Makes these the children, moving as little as possible: what has the focus keeps it. */
function arrange(parent, wanted) {
  const keptOnes = new Set(wanted);
  for (const child of [...parent.children]) if (!keptOnes.has(child)) child.remove();
  wanted.forEach((element, index) => {
    if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null);
  });
}
