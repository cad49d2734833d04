// The box in which one writes: Enter sends, Shift+Enter starts a new line; says when one is typing.

import { grow } from "./element.js";

const TYPING_MS = 3000; // typing is over when no key was pressed for so long

export class Composer {
  #input = document.getElementById("composer");
  #button = document.getElementById("send");
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
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#submit();
    });
    document.getElementById("composer-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  get text() {
    return this.#input.value;
  }

  set text(text) {
    this.#input.value = text;
    this.#fit();
  }

  set enabled(enabled) {
    if (this.#input.disabled !== enabled) return; // asked at each paint
    this.#input.disabled = !enabled;
    this.#fit();
  }

  focus() {
    this.#input.focus();
  }

  /** Says that one isn't typing any more, e.g. before the session is left. */
  rest() {
    this.#setTyping(false);
  }

  /** Sends a text as if it had been written here. */
  send(text) {
    if (this.#input.disabled) return;
    this.#onSend(text);
    this.rest();
  }

  #submit() {
    const text = this.text.trim();
    if (!text || this.#input.disabled) return;
    this.send(text);
    this.text = "";
    this.focus();
  }

  #fit() {
    grow(this.#input);
    this.#button.disabled = this.#input.disabled || !this.text.trim();
  }

  #setTyping(typing) {
    clearTimeout(this.#timer);
    if (typing) this.#timer = setTimeout(() => this.#setTyping(false), TYPING_MS);
    if (typing === this.#typing) return;
    this.#typing = typing;
    this.#onTyping(typing);
  }
}
