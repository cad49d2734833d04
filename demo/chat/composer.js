// The input box: Enter sends, Shift+Enter starts a new line; reports typing.

import { grow, isEnter, keep } from "./element.js";
import { tried } from "./notice.js";

const PLACEHOLDER = "Message everyone here";
const TYPING_MS = 3000; // typing is over when no key was pressed for so long

export class Composer {
  #input = document.getElementById("composer");
  #button = document.getElementById("send");
  #keys = document.getElementById("barred");
  #usual = document.getElementById("keys");
  #onSend;
  #onTyping;
  #typing = false;
  #timer = 0;

  constructor({ onSend, onTyping }) {
    this.#onSend = onSend;
    this.#onTyping = onTyping;
    this.#input.addEventListener("input", () => {
      this.#fit();
      this.#setTyping(Boolean(this.text.trim()));
    });
    this.#input.addEventListener("keydown", (event) => {
      if (!isEnter(event)) return;
      event.preventDefault();
      this.submit();
    });
    document.getElementById("composer-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
  }

  get text() {
    return this.#input.value;
  }

  set text(text) {
    this.#input.value = text;
    this.#fit();
  }

  get enabled() {
    return !this.#input.readOnly && !this.#input.disabled;
  }

  /** Set at each paint. The text can still be selected and copied, which a disabled box would prevent. */
  set enabled(enabled) {
    const [disabled, readOnly] = [!enabled && !this.text, !enabled];
    if (this.#input.disabled === disabled && this.#input.readOnly === readOnly) return;
    this.#input.disabled = disabled;
    this.#input.readOnly = readOnly;
    this.#fit();
  }

  /** Shows why this page can't write; empty when it can. */
  set hint(hint) {
    keep(this.#input, "placeholder", hint ? "You can't write here" : PLACEHOLDER);
    keep(this.#keys, "textContent", hint);
    this.#keys.hidden = !hint;
    this.#usual.hidden = Boolean(hint);
  }

  focus() {
    this.#input.focus();
  }

  /** Appends a text to the box, to be sent again, or not. */
  giveBack = (text) => {
    this.text = [this.text, text].filter(Boolean).join("\n\n");
    this.focus();
  };

  /** Reports the end of typing, e.g. before the session is left. */
  rest() {
    this.#setTyping(false);
  }

  /** Sends a text as if it had been written here; returns whether it could be sent. */
  send(text) {
    return this.#give(text, this.#onSend);
  }

  /** Passes the text to a function that may refuse it; then the text stays. */
  submit(give = this.#onSend) {
    const text = this.text.trim();
    if (!text || !this.#give(text, give)) return;
    this.text = "";
    this.focus();
  }

  #give(text, give) {
    if (!this.enabled || !tried(() => give(text))) return false;
    this.rest();
    return true;
  }

  #fit() {
    grow(this.#input);
    this.#button.disabled = !this.enabled || !this.text.trim();
  }

  #setTyping(typing) {
    clearTimeout(this.#timer);
    if (typing) this.#timer = setTimeout(() => this.#setTyping(false), TYPING_MS);
    if (typing === this.#typing) return;
    this.#typing = typing;
    this.#onTyping(typing);
  }
}
