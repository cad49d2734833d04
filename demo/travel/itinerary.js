// The itinerary, day by day. A row is deleted, gets another time, or is moved to another day: by its grip, or with the
// arrow keys on it. What is booked stays as it is.

import { h, icon, keep, mark } from "../chat/element.js";
import { object, text } from "../chat/given.js";
import { person } from "../chat/people.js";
import { tried } from "../chat/notice.js";
import { Keyed } from "./keyed.js";
import { drag } from "./moving.js";
import { price } from "./price.js";
import { selects } from "./selection.js";

const MOST_DAYS = 31; // more are no help to look at, and a client may write any number

const dayOf = (item) => Number(item.day) || 0;
const byTime = ([, a], [, b]) => dayOf(a) - dayOf(b) || text(a.time).localeCompare(text(b.time));

/** Returns the planned items, in order: [id, item]. */
export function planned(session) {
  const items = Object.entries(object(session.state.get(["itinerary"])));
  return items.filter(([, item]) => item === object(item)).sort(byTime);
}

export class Itinerary {
  #list;
  #scroller;
  #announce;
  #rows;

  constructor(list, scroller, announce) {
    this.#list = list;
    this.#scroller = scroller;
    this.#announce = announce;
    this.#rows = new Keyed(list, ({ item, key }) => (item ? new Row(this, key) : new Day()));
  }

  clear() {
    this.#rows.clear();
  }

  paint(session) {
    this.session = session;
    const items = planned(session);
    this.#rows.paint(this.#days(items).flatMap((day) => [
      { id: `day ${day}`, day, isFree: !items.some(([, item]) => dayOf(item) === day) },
      ...items.filter(([, item]) => dayOf(item) === day).map(([key, item]) => ({ id: `item ${key}`, key, item })),
    ]));
  }

  /** The days of the trip, also those that have nothing yet: something may be moved there. */
  #days(items) {
    const { nights } = object(this.session.state.get(["trip"]));
    const length = items.length && nights > 0 ? Math.min(nights + 1, MOST_DAYS) : 0;
    const all = [...items.map(([, item]) => dayOf(item)), ...Array.from({ length }, (_, index) => index + 1)];
    return [...new Set(all)].sort((a, b) => a - b);
  }

  /** Sets a field of an item; whether it could be set. */
  set(id, name, value) {
    return tried(() => this.session.state.set(["itinerary", id, name], value));
  }

  remove(id) {
    tried(() => this.session.state.delete(["itinerary", id]));
  }

  grip(event, row) {
    drag(event, row.element, {
      scroller: this.#scroller,
      targetAt: (y) => this.#heads.findLast((head) => head.getBoundingClientRect().top <= y) ?? this.#heads[0],
      onDrop: ({ dataset }) => this.#move(row, Number(dataset.day)),
    });
  }

  /** Moves a row to the next day, or the one before. */
  step(row, by) {
    const days = this.#heads.map(({ dataset }) => Number(dataset.day));
    const day = days[days.indexOf(row.day) + by];
    if (day !== undefined) this.#move(row, day);
  }

  get #heads() {
    return [...this.#list.querySelectorAll("[data-day]")];
  }

  #move(row, day) {
    if (day === row.day || !row.element.isConnected) return;
    if (!this.set(row.id, "day", day)) return;
    keep(this.#announce, "textContent", `${row.title} is on ${nameOf(day).toLowerCase()} now.`);
  }
}

const nameOf = (day) => (day ? `Day ${day}` : "Some day");

class Day {
  constructor() {
    this.name = h("span", {});
    this.free = h("small", {}, "nothing yet");
    this.element = h("h3", { class: "day" }, this.name, this.free);
  }

  paint({ day, isFree }) {
    mark(this.element, "day", day);
    keep(this.name, "textContent", nameOf(day));
    this.free.hidden = !isFree;
  }
}

class Row {
  constructor(itinerary, id) {
    const { session } = itinerary;
    this.session = session;
    this.id = id;
    this.grip = h("button", { type: "button", class: "grip", "data-testid": "item-grip", title: "Drag it to another day, or press the arrow keys", onpointerdown: (event) => itinerary.grip(event, this), onkeydown: (event) => this.#step(event, itinerary) }, icon("grip"));
    this.time = h("input", { class: "time", inputmode: "numeric", maxlength: "5", "aria-label": "Time", autocomplete: "off", "data-testid": "item-time" });
    this.time.addEventListener("change", () => {
      const [, hour, minute] = /^(\d?\d)\D?(\d\d)?$/.exec(this.time.value.trim()) ?? [];
      if (hour < 24 && !(minute > 59)) itinerary.set(id, "time", `${hour.padStart(2, "0")}:${minute ?? "00"}`);
      this.time.blur();
    });
    this.name = h("b", {});
    this.detail = h("small", {});
    this.cost = h("span", { class: "cost" });
    this.booked = h("span", { class: "booked" });
    this.remove = h("button", { type: "button", class: "icon-button", "data-testid": "item-delete", onclick: () => itinerary.remove(id) }, icon("trash"));
    this.element = h("div", { class: "item", "data-testid": "item", "data-item": id, tabindex: "-1" },
      this.grip, this.time, h("div", { class: "item-what" }, this.name, this.detail, this.booked), this.cost, this.remove);
    selects(this.element, session, id);
  }

  #step(event, itinerary) {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    itinerary.step(this, by);
  }

  paint({ item }) {
    const isBooked = item.status === "booked";
    const isFixed = isBooked || !this.session.may(`state:itinerary/${this.id}`);
    this.day = dayOf(item);
    this.title = text(item.title) || this.id;
    if (document.activeElement !== this.time) keep(this.time, "value", text(item.time));
    this.time.readOnly = isFixed || item.kind === "flights"; // a flight goes when it goes
    keep(this.name, "textContent", this.title);
    const by = text(item.by);
    const chooser = by && by !== "planner" ? ` · ${person(by, this.session).name}` : "";
    keep(this.detail, "textContent", text(item.detail) + chooser);
    keep(this.cost, "textContent", price(item.price));
    mark(this.element, "booked", isBooked ? "" : null);
    keep(this.booked, "textContent", isBooked ? `Booked ${text(item.reference)}` : "");
    for (const button of [this.grip, this.remove]) button.disabled = isFixed;
    keep(this.grip, "ariaLabel", `Move ${this.title} to another day`);
    keep(this.remove, "ariaLabel", `Delete ${this.title}`);
  }
}
