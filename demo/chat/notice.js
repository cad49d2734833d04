// The notice above the conversation: actions that failed, and the reasons.

import { h } from "./element.js";

const notice = document.getElementById("notice");

/** Shows a sentence, and a button with the next step. */
export function refuse(text, label, act) {
  notice.replaceChildren(h("p", {}, text), h("button", { type: "button", class: "button", onclick: act }, label));
  notice.hidden = false;
}

/** Reports that an action failed. */
export function tell(text) {
  refuse(text, "Close", () => (notice.hidden = true));
}

/** Does an action that the session may refuse at once (too large, not allowed, closed), and reports that; returns whether it is done. */
export function tried(act) {
  try {
    act();
    return true;
  } catch (error) {
    tell(error.message);
    return false;
  }
}
