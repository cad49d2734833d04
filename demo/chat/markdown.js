// Markdown to DOM. Nothing that an agent or a person writes can run, load or restyle anything here:
// raw HTML is off, what remains is sanitised against a short list, images become links, links open elsewhere.

import { copy, h, icon } from "./element.js";
import { DOMPurify, MarkdownIt } from "./vendor/markdown.js";

const TAGS = ["a", "blockquote", "br", "code", "del", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol",
  "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"];

const markdown = new MarkdownIt({ html: false, linkify: true, breaks: true, typographer: false });
const escape = markdown.utils.escapeHtml;

markdown.renderer.rules.image = (tokens, index) => {
  const source = tokens[index].attrGet("src") ?? "";
  return `<a href="${escape(source)}">${escape(tokens[index].content || source)}</a>`;
};
markdown.renderer.rules.table_open = () => '<div class="table"><table>';
markdown.renderer.rules.table_close = () => "</table></div>";
// A box around code has room for the button that copies it.
for (const rule of ["fence", "code_block"]) {
  const inner = markdown.renderer.rules[rule];
  markdown.renderer.rules[rule] = (...all) => `<div class="code">${inner(...all)}</div>`;
}
// Alignment comes as a style attribute, which the page's policy forbids: say it with a class.
for (const rule of ["th_open", "td_open"]) {
  markdown.renderer.rules[rule] = (tokens, index) => {
    const side = /right|center/.exec(tokens[index].attrGet("style") ?? "")?.[0];
    return side ? `<${tokens[index].tag} class="${side}">` : `<${tokens[index].tag}>`;
  };
}

const purifier = DOMPurify(window);
purifier.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName !== "A") return;
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer nofollow");
});

/** The text as safe blocks, in a DocumentFragment. */
export function render(text) {
  return purifier.sanitize(markdown.render(text), {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ["href", "class", "start"],
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|#)/i,
    RETURN_DOM_FRAGMENT: true,
  });
}

/** The text without its markup, as a screen reader or a title should have it. */
export function plain(text) {
  const blocks = [...render(text).children];
  return blocks.map((block) => block.innerText ?? block.textContent).map((words) => words.trim()).filter(Boolean).join("\n");
}

/** Puts the text into `target`, replacing only the blocks that changed: a selection in a growing answer survives. */
export function update(target, text) {
  const blocks = [...render(text).childNodes].filter((node) => node.nodeType === Node.ELEMENT_NODE);
  blocks.forEach((block, index) => {
    const source = block.outerHTML;
    const present = target.children[index];
    if (present?.source === source) return;
    block.source = source;
    if (block.classList.contains("code")) block.append(copyButton(block));
    if (present) present.replaceWith(block);
    else target.append(block);
  });
  while (target.children.length > blocks.length) target.lastElementChild.remove();
}

function copyButton(block) {
  const code = block.querySelector("code") ?? block;
  const text = code.textContent;
  const button = h("button", { class: "icon-button copy-code", type: "button", "aria-label": "Copy the code" }, icon("copy"));
  button.addEventListener("click", async () => {
    if (await copy(text)) button.replaceChildren(icon("check"));
  });
  return button;
}
