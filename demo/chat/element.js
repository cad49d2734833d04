// Making DOM elements: h("p", {class: "hint"}, "text", child). No HTML strings, so nothing to escape.

import "./icons.js";

const SVG = "http://www.w3.org/2000/svg";

export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...some(children));
  return element;
}

/** Returns a list without missing items: `condition && element` leaves false or null in a list. */
export function some(children) {
  return children.filter((child) => child !== undefined && child !== null && child !== false);
}

/** An icon of icons.js. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** Sets a property only when it differs: no needless layout, no lost caret. */
export function keep(element, property, value) {
  if (element[property] !== value) element[property] = value;
}

/** Sets a data attribute only when it differs; null takes it away. */
export function mark(element, name, value) {
  if (value === null || value === undefined) delete element.dataset[name];
  else if (element.dataset[name] !== String(value)) element.dataset[name] = value;
}

/** Puts a text on the clipboard; false where the browser allows it only over https. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** Whether a key event is the Enter that sends: not one that ends a composition, which Safari reports as key code 229. */
export function isEnter({ key, shiftKey, isComposing, keyCode }) {
  return key === "Enter" && !shiftKey && !isComposing && keyCode !== 229;
}

/**
 * Makes a request to the server, and reports a refusal: `ask` returns the request, or throws.
 * Resolves to whether it was accepted.
 */
export async function request(ask, onRefused) {
  try {
    const { accepted, error } = await ask().outcome();
    if (!accepted) onRefused(error.message);
    return accepted;
  } catch (error) {
    onRefused(error.message);
    return false;
  }
}

/** Draws something, and something else where that fails: one odd thing must not keep the rest from being drawn. */
export function attempt(draw, otherwise = () => {}) {
  try {
    draw();
  } catch (error) {
    console.error(error);
    otherwise();
  }
}

/** A textarea as high as its text. */
export function grow(textarea) {
  textarea.style.height = "auto";
  textarea.style.height = `${textarea.scrollHeight}px`;
}
