// The notice above the conversation: what didn't come about, and why.

import { h } from "./element.js";

const notice = document.getElementById("notice");

/** Shows a sentence, and a button for what can be done about it. */
export function refuse(text, label, act) {
  notice.replaceChildren(h("p", {}, text), h("button", { type: "button", class: "button", onclick: act }, label));
  notice.hidden = false;
}

/** Says that something didn't come about. */
export function tell(text) {
  refuse(text, "Close", () => (notice.hidden = true));
}

/** Does something that the session may refuse at once (too large, not allowed, over), and says so; whether it is done. */
export function tried(act) {
  try {
    act();
    return true;
  } catch (error) {
    tell(error.message);
    return false;
  }
}
