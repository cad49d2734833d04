// The icons, as symbols in the page: `<use href="#i-send">` shows one. In a module, because two pages use them.

const SVG = "http://www.w3.org/2000/svg";

const LINES = {
  menu: "M4 7h16M4 12h16M4 17h10",
  plus: "M12 5v14M5 12h14",
  share: "M12 15V4M8 7.5 12 3.5l4 4M5 12.5V18a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2v-5.5",
  send: "M12 19V5M6 11l6-6 6 6",
  edit: "m5 19 .8-3.6L16.2 5a1.9 1.9 0 0 1 2.8 2.8L8.6 18.2 5 19Z",
  trash: "M5 7h14M10 7V5h4v2M7 7l.8 12h8.4L17 7",
  copy: "M11 9h6.5a2 2 0 0 1 2 2v6.5a2 2 0 0 1-2 2H11a2 2 0 0 1-2-2V11a2 2 0 0 1 2-2ZM15 9V6.5a2 2 0 0 0-2-2H6.5a2 2 0 0 0-2 2V13a2 2 0 0 0 2 2H9",
  check: "m5.5 12.5 4.2 4.2L18.5 8",
  down: "M12 5v14M6 13l6 6 6-6",
  steer: "M5 5v6a4 4 0 0 0 4 4h10M15 11l4 4-4 4",
  close: "m6 6 12 12M18 6 6 18",
  queue: "M5 6h14M5 11h14M5 16h7M18 14v6M15 17h6",
};

const SHAPES = {
  stop: "M9 7h6a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2H9a2 2 0 0 1-2-2V9a2 2 0 0 1 2-2Z",
  spark: "M12 4c.6 4.6 3.4 7.4 8 8-4.6.6-7.4 3.4-8 8-.6-4.6-3.4-7.4-8-8 4.6-.6 7.4-3.4 8-8Z",
  pointer: "m5 3 14 7.5-6.2 1.6L9.6 18 5 3Z",
  grip: "M8.5 5h1v1h-1ZM14.5 5h1v1h-1ZM8.5 11.5h1v1h-1ZM14.5 11.5h1v1h-1ZM8.5 18h1v1h-1ZM14.5 18h1v1h-1Z",
};

const sprite = make("svg", { class: "sprite", "aria-hidden": "true" });
for (const [name, d] of Object.entries(LINES)) sprite.append(symbol(name, { d }));
for (const [name, d] of Object.entries(SHAPES)) sprite.append(symbol(name, { d, class: "solid" }));
document.body.prepend(sprite);

function symbol(name, attributes) {
  const made = make("symbol", { id: `i-${name}`, viewBox: "0 0 24 24" });
  made.append(make("path", attributes));
  return made;
}

function make(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
