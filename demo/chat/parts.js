// One part of a message each: text, thoughts, a call of a tool, a link, a steer in its place.

import { h, icon } from "./element.js";
import { object, objects, text } from "./given.js";
import { update as updateMarkdown } from "./markdown.js";
import { person } from "./people.js";

/** Draws one part of a message; of a kind that it doesn't know, nothing. */
export function paintPart(element, part, run, session) {
  if (part.type === "text") return updateMarkdown(element, text(part.text));
  if (part.type === "reasoning") {
    if (!element.firstChild) element.append(h("details", { class: "reasoning" }, h("summary", {}, "Thoughts"), h("div")));
    return updateMarkdown(element.firstChild.lastChild, text(part.text));
  }
  if (part.type === "data-steer") {
    const told = object(part.data);
    const steer = objects(run?.steers).find((each) => each.id === told.id) ?? told;
    return element.replaceChildren(...(text(steer.text) ? [steerNote(steer, session)] : []));
  }
  if (part.type === "dynamic-tool" || part.type.startsWith("tool-")) {
    const name = text(part.toolName) || part.type.slice("tool-".length);
    const isAsking = run?.status === "suspended" && part.state === "input-available";
    const said = text(part.errorText) || (isAsking ? "waits for an answer" : text(TOOL_STATES[part.state]));
    return element.replaceChildren(h("p", { class: "tool" }, h("code", {}, name), ` ${said}`));
  }
  if (/^https?:/i.test(text(part.url))) {
    const label = text(part.title) || text(part.filename) || part.url;
    return element.replaceChildren(h("p", {}, h("a", { href: part.url, target: "_blank", rel: "noopener noreferrer" }, label)));
  }
  return element.replaceChildren();
}

const TOOL_STATES = {
  "input-streaming": "is being called…",
  "input-available": "is working…",
  "approval-requested": "waits for approval",
  "output-available": "is done",
  "output-error": "failed",
  "output-denied": "was not allowed",
};

/** Returns the note of a steer that a participant added while the agent worked. */
export function steerNote(steer, session, waiting = false) {
  const who = person(steer.by, session);
  return h("p", { class: "steer-note", "data-testid": "steer", "data-steer-id": steer.id, dir: "auto" }, icon("steer"),
    h("span", {}, h("strong", { "--person": who.color }, who.name), ` ${text(steer.text)}`),
    waiting ? h("span", { class: "steer-waits" }, "not taken in yet") : null);
}
