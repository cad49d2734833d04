// Selections: a row or a card, in the colour of the participant that has selected it.

import { mark } from "../chat/element.js";
import { text } from "../chat/given.js";
import { person } from "../chat/people.js";

/** Selects an element's item while the focus is in it. */
export function selects(element, session, id) {
  const select = (item) => {
    if (session.status !== "closed") session.selections.set("item", item);
  };
  element.addEventListener("focusin", () => select(id));
  element.addEventListener("focusout", () => select(null));
}

/** Shows the selections of others. */
export function paintSelections(session) {
  const selected = new Map();
  for (const { id, online } of session.people.all) {
    const item = text(session.selections.get(id, "item"));
    if (id !== session.me.id && online && item) selected.set(item, person(id, session));
  }
  for (const element of document.querySelectorAll("[data-item]")) {
    const who = selected.get(element.dataset.item);
    mark(element, "selectedBy", who?.name ?? null);
    if (who) element.style.setProperty("--person", who.color);
  }
}
