// Where others point: told as a place in a card, a row or a message, so that it is right on a screen of any size.

import { h, icon } from "../chat/element.js";
import { object, text } from "../chat/given.js";
import { person } from "../chat/people.js";

const TOLD_MS = 50;
const PLACES = [["item", "[data-item]"], ["messageId", "[data-message-id]"], ["agent", "[data-agent]"]];

export class Cursors {
  #layer;
  #session = null;
  #waits = null;
  #shown = new Map();

  constructor(layer) {
    this.#layer = layer;
    addEventListener("pointermove", (event) => event.pointerType === "mouse" && this.#point(event));
    document.documentElement.addEventListener("pointerleave", () => this.#tell(null));
  }

  #point({ target, clientX, clientY }) {
    for (const [name, selector] of PLACES) {
      const element = target instanceof Element && target.closest(selector);
      if (!element) continue;
      const { left, top, width, height } = element.getBoundingClientRect();
      const [x, y] = [(clientX - left) / width, (clientY - top) / height].map((part) => Math.round(part * 1000) / 1000);
      return this.#tell({ name, id: element.dataset[name], x, y });
    }
    return this.#tell(null);
  }

  /** Says where one points, at most 20 times a second. */
  #tell(at) {
    const isPlanned = this.#waits !== null;
    this.#waits = { at };
    if (isPlanned) return;
    setTimeout(() => {
      const { at: last } = this.#waits;
      this.#waits = null;
      if (this.#session?.status === "online") this.#session.presence.set({ cursor: last });
    }, TOLD_MS);
  }

  paint(session) {
    this.#session = session;
    const here = new Set();
    for (const { client, user, fields } of session.presence.others) {
      const { name, id, x, y } = object(fields.cursor);
      const selector = PLACES.find(([known]) => known === name)?.[1];
      const element = selector && [...document.querySelectorAll(selector)].find((each) => each.dataset[name] === text(id));
      const box = element?.getBoundingClientRect();
      if (!box?.width || !Number.isFinite(x) || !Number.isFinite(y)) continue;
      const around = element.closest(".scroller, .pane").getBoundingClientRect();
      const pointed = box.top + y * box.height;
      if (pointed < around.top || pointed > around.bottom) continue; // scrolled away here
      here.add(client);
      if (!this.#shown.has(client)) this.#shown.set(client, this.#make(user.name));
      const { style } = this.#shown.get(client);
      style.setProperty("--person", person(user.id, session).color);
      style.setProperty("--x", `${box.left + x * box.width}px`);
      style.setProperty("--y", `${pointed}px`);
    }
    for (const [client, element] of this.#shown) {
      if (here.has(client)) continue;
      element.remove();
      this.#shown.delete(client);
    }
  }

  #make(name) {
    const element = h("div", { class: "cursor", "data-testid": "cursor" }, icon("pointer"), h("span", {}, name));
    this.#layer.append(element);
    return element;
  }
}
