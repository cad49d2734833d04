// What the server did not take, kept in sight until it is dealt with: nobody else has these words any more.

import { copy, h } from "./element.js";

/** Shows a refusal and what it cost in an element. */
export function showLoss(element, { reason, lost }) {
  const close = h("button", { type: "button", class: "button", onclick: () => (element.hidden = true) }, "Close");
  const copying = h("button", {
    type: "button",
    class: "button primary",
    "data-testid": "copy-lost",
    onclick: async () => {
      select(words);
      const done = (await copy(lost.join("\n\n"))) || document.execCommand("copy"); // plain http has only the old way
      copying.textContent = done ? "Copied" : "Press Ctrl+C";
    },
  }, "Copy the text");
  const words = h("div", { class: "lost", "data-testid": "lost", tabindex: "0", role: "group", "aria-label": "What was not taken" },
    ...lost.map((text) => h("p", { dir: "auto" }, text)));
  element.replaceChildren(
    h("div", { class: "notice-text" },
      h("p", {}, h("strong", {}, lost.length ? "What you wrote was not taken." : "A change of yours was not taken."), ` ${reason}`),
      lost.length ? words : ""),
    h("div", { class: "notice-actions" }, lost.length ? copying : "", close));
  element.hidden = false;
}

function select(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
}
