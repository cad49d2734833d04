// Refused writes, shown until they are dealt with: no other client has their texts.

import { copy, h } from "./element.js";

/** The refused actions, by the root of the document that was touched. */
const DEEDS = {
  messages: "write that message or change it",
  requests: "stop or steer this answer",
  meta: "change the title",
  queue: "change what waits for its turn",
  selections: "select that",
  state: "change that",
  surfaces: "change that",
  counters: "count here",
  runs: "work as an agent",
  agents: "work as an agent",
};

/** Shows a refusal and the lost texts in an element; `onReuse` takes the texts back, where this page may write. */
export function showLoss(element, { reason, touched = "", lost: all }, onReuse = null) {
  const lost = withoutEchoes(all);
  const deed = DEEDS[touched.split("/")[0]];
  const hide = () => (element.hidden = true);
  const copying = h("button", {
    type: "button",
    class: "button",
    "data-testid": "copy-lost",
    onclick: async () => {
      select(words);
      const done = (await copy(lost.join("\n\n"))) || document.execCommand("copy"); // plain http has only the old way
      copying.textContent = done ? "Copied" : "Press Ctrl+C";
    },
  }, "Copy the text");
  const again = h("button", {
    type: "button",
    class: "button primary",
    "data-testid": "reuse-lost",
    onclick: () => {
      onReuse(lost.join("\n\n"));
      hide();
    },
  }, "Put it back in the box");
  const words = h("div", { class: "lost", "data-testid": "lost", tabindex: "0", role: "group", "aria-label": "What was not taken" },
    ...lost.map((text) => h("p", { dir: "auto" }, text)));
  const what = lost.length ? "What you wrote was not taken." : "A change of yours was not taken.";
  element.replaceChildren(
    h("div", { class: "notice-text" },
      h("p", {}, h("strong", {}, what), deed ? ` Your access here doesn't let you ${deed}.` : ` ${reason}`),
      deed && h("details", {}, h("summary", {}, "What the server said"), h("p", {}, reason)),
      lost.length > 0 && words),
    h("div", { class: "notice-actions" }, lost.length > 0 && copying, lost.length > 0 && onReuse && again,
      h("button", { type: "button", class: "button", onclick: hide }, "Close")));
  element.hidden = false;
}

/** Returns the texts without those that only repeat the beginning of another one, as a title made of the first message. */
function withoutEchoes(texts) {
  return texts.filter((text, index) => !texts.some((other, place) =>
    place !== index && other.startsWith(text.replace(/…$/, "")) && (other.length > text.length || place < index)));
}

function select(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
}
