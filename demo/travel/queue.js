// What waits for its turn: everybody who may edits, reorders and removes it.

import { h, icon, keep } from "../chat/element.js";
import { avatar, person } from "../chat/people.js";

export class Queue {
  #list;
  #rows = new Map();

  constructor(list) {
    this.#list = list;
  }

  clear() {
    this.#rows.clear();
    this.#list.replaceChildren();
  }

  paint(session) {
    const { list } = session.queue;
    this.#list.hidden = !list.length;
    for (const id of this.#rows.keys()) if (!list.some((entry) => entry.id === id)) this.#drop(id);
    list.forEach((entry, index) => {
      if (!this.#rows.has(entry.id)) this.#rows.set(entry.id, this.#make(session, entry));
      const row = this.#rows.get(entry.id);
      if (this.#list.children[index] !== row.element) this.#list.insertBefore(row.element, this.#list.children[index] ?? null);
      if (document.activeElement !== row.input) keep(row.input, "value", entry.text);
      row.up.disabled = index === 0;
    });
  }

  #drop(id) {
    this.#rows.get(id).element.remove();
    this.#rows.delete(id);
  }

  #make(session, { id, author }) {
    const input = h("input", { "aria-label": "A prompt that waits", "data-testid": "queued-text" });
    input.addEventListener("change", () => {
      const text = session.queue.text(id);
      session.doc.transact(() => {
        text.delete(0, text.length);
        text.insert(0, input.value);
      });
    });
    const place = () => session.queue.list.findIndex((entry) => entry.id === id);
    const act = (name, label, testid, onclick) => h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, "data-testid": testid, onclick }, icon(name));
    const up = act("up", "Ask it earlier", "queued-up", () => session.queue.move(id, place() - 1));
    const element = h("li", { class: "queued", "data-testid": "queued" }, avatar(person(author, session)), input, up,
      act("close", "Remove it", "queued-remove", () => session.queue.remove(id)));
    return { element, input, up };
  }
}
