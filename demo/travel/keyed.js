// Elements by the ids of their items: each is made once, updated at each paint, and stays in its place as long as its
// item does. The focused element keeps the focus.

import { attempt } from "../chat/element.js";

export class Keyed {
  #parent;
  #make;
  #views = new Map();

  /** `make(thing)` returns the view of a thing: its `element`, and `paint(thing, index)`. */
  constructor(parent, make) {
    this.#parent = parent;
    this.#make = make;
  }

  clear() {
    this.#views.clear();
    this.#parent.replaceChildren();
  }

  /** Shows these things, in this order. */
  paint(things) {
    const wanted = new Map(things.map((thing) => [thing.id, thing]));
    for (const [id, { element }] of this.#views) {
      if (wanted.has(id)) continue;
      element.remove();
      this.#views.delete(id);
    }
    const focused = document.activeElement;
    [...wanted.values()].forEach((thing, index) => attempt(() => this.#show(thing, index)));
    if (focused !== document.activeElement && this.#parent.contains(focused)) focused.focus({ preventScroll: true });
  }

  #show(thing, index) {
    if (!this.#views.has(thing.id)) this.#views.set(thing.id, this.#make(thing));
    const view = this.#views.get(thing.id);
    const there = this.#parent.children[index] ?? null;
    if (there !== view.element) this.#parent.insertBefore(view.element, there);
    view.paint(thing, index);
  }
}
