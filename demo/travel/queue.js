// The waiting prompts: participants with the capability edit, reorder and remove them.

import { h, icon, keep } from "../chat/element.js";
import { tried } from "../chat/notice.js";
import { avatar, person } from "../chat/people.js";
import { Keyed } from "./keyed.js";

export class Queue {
  #list;
  #rows;

  constructor(list) {
    this.#list = list;
    this.#rows = new Keyed(list, (entry) => new Row(this.session, entry));
  }

  clear() {
    this.#rows.clear();
  }

  paint(session) {
    this.session = session;
    this.#list.hidden = !session.queue.all.length;
    this.#rows.paint(session.queue.all);
  }
}

class Row {
  constructor(session, { id, author }) {
    const { queue } = session;
    this.input = h("input", { "aria-label": "A prompt that waits", "data-testid": "queued-text" });
    this.input.addEventListener("change", () => {
      tried(() => queue.text(id).set(this.input.value));
    });
    const place = () => queue.all.findIndex((entry) => entry.id === id);
    const act = (name, label, testid, onclick) => h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, "data-testid": testid, onclick }, icon(name));
    this.up = act("send", "Ask it earlier", "queued-up", () => tried(() => queue.move(id, place() - 1)));
    this.element = h("li", { class: "queued", "data-testid": "queued" }, avatar(person(author, session)), this.input, this.up,
      act("close", "Remove it", "queued-remove", () => tried(() => queue.remove(id))));
  }

  paint({ text }, index) {
    if (document.activeElement !== this.input) keep(this.input, "value", text);
    this.up.disabled = index === 0;
  }
}
