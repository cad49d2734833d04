// The conversation. A message's DOM is made once and changed where the message changed, so that a growing
// answer redraws one block of one message: scroll position, selection and an open editor of all others stay.

import { merge } from "./edits.js";
import { attempt, copy, grow, h, icon, isEnter, keep, mark, some } from "./element.js";
import { list, object, objects, text } from "./given.js";
import { tried } from "./notice.js";
import { paintPart, steerNote } from "./parts.js";
import { avatar, peopleKey, person } from "./people.js";

const ENDED = { cancelled: "Stopped", error: "The agent stopped with an error", lost: "The agent went away before it was done" };

/** The list of messages, and a row for each run that has not written anything: it is waited for, or it failed. */
export class MessageList {
  constructor(element, { onReuse, onRetry }) {
    this.element = element;
    this.onReuse = onReuse;
    this.onRetry = onRetry;
    this.views = new Map();
  }

  clear() {
    this.views.clear();
    this.element.replaceChildren();
  }

  /** Shows the messages, in this order. */
  paint(session, work, messages = session.messages.all) {
    const runs = new Map(session.runs.all.map((run) => [run.id, run]));
    const people = peopleKey(session);
    const present = new Set();
    let next = this.element.firstElementChild;
    const place = (id, make, paint) => {
      present.add(id);
      let view = this.views.get(id);
      if (!view) this.views.set(id, (view = make()));
      if (view.element === next) next = next.nextElementSibling;
      else this.element.insertBefore(view.element, next);
      attempt(() => paint(view), () => view.fail());
    };
    const failed = failedSilently(session.runs.all);
    const placeSilent = (run) => place(`run:${run.id}`, () => new SilentView(this.onRetry), (view) => view.paint(run, session, work));
    for (const message of messages) {
      const run = runs.get(message.run);
      place(message.id, () => new MessageView(this), (view) => view.paint(message, run, people, session, work));
      if (failed.has(message.id)) placeSilent(failed.get(message.id));
    }
    for (const run of work.open) if (!list(run.messages).length) placeSilent(run);
    for (const [id, view] of this.views) {
      if (present.has(id)) continue;
      view.element.remove();
      this.views.delete(id);
    }
  }
}

/** By prompt, the last run that answered it, where that ended with an error before its first word. */
function failedSilently(runs) {
  const last = new Map(runs.map((run) => [run.replyTo, run]));
  return new Map([...last].filter(([, run]) => run.status === "error" && !list(run.messages).length));
}

/** Returns a button that repeats a prompt which an agent failed to answer; null without the capability. */
function retryButton(run, session, onRetry) {
  const prompt = session.may("prompt") && run && session.messages.get(run.replyTo);
  if (!prompt || prompt.deleted) return null;
  return h("button", { type: "button", class: "link", "data-testid": "retry", onclick: () => onRetry(prompt) }, "Ask again");
}

/** How a run failed, in words for people. */
function failure(status, run) {
  const error = text(run?.error) || text(object(run?.error).message);
  return status === "error" && error ? `${ENDED.error}: ${error}` : text(ENDED[status]);
}

class MessageView {
  constructor({ onReuse, onRetry }) {
    this.onReuse = onReuse;
    this.onRetry = onRetry;
    this.parts = [];
    this.face = h("div", { class: "face" });
    this.head = h("div", { class: "message-head" });
    this.body = h("div", { class: "message-text", "data-testid": "message-text", dir: "auto" });
    this.steers = h("div", { class: "steers" });
    this.end = h("p", { class: "message-end", hidden: true });
    this.actions = h("div", { class: "actions", role: "group", "aria-label": "What you can do with this message" });
    this.box = h("div", { class: "bubble" }, this.body, this.steers);
    this.element = h("li", { class: "message", "data-testid": "message" },
      this.face, h("div", { class: "column" }, this.head, this.box, this.end, this.actions));
  }

  paint(message, run, people, session, work) {
    const status = statusOf(message, run, work);
    // Snapshots stay the same objects while nothing in them changes, so this tells at no cost.
    if (message === this.message && run === this.run && people === this.people && status === this.status) return;
    this.message = message;
    this.run = run;
    this.people = people;
    this.status = status;
    this.session = session;
    const who = person(message.author, session);

    const { deleted, editedAt: edited } = message;
    const mine = message.author === session.me.id;
    mark(this.element, "messageId", message.id);
    mark(this.element, "role", message.role);
    mark(this.element, "status", status || null);
    mark(this.element, "mine", mine ? "" : null);
    mark(this.element, "verified", message.verified ? "" : null);
    mark(this.element, "deleted", deleted ? "" : null);
    this.paintHead(who, message, edited && !deleted);
    if (deleted) this.paintDeleted(who, mine);
    else this.paintParts(message, run, session, work);
    this.paintEnd(status, run, session);
    mark(this.element, "growing", run && status === "streaming" ? "" : null);
    this.paintActions(mine && !deleted && status === "complete", !deleted && status !== "streaming" && Boolean(message.text));
    if (deleted) this.closeEditor();
  }

  /** Shows a message that can't be drawn. */
  fail() {
    this.parts = [];
    this.body.replaceChildren(h("em", {}, "This message can't be shown."));
  }

  paintHead(who, message, edited) {
    const created = text(message.createdAt);
    const key = `${who.name} ${who.color} ${who.kind} ${created} ${Boolean(edited)}`;
    if (key === this.headKey) return;
    this.headKey = key;
    this.face.replaceChildren(avatar(who));
    const at = new Date(created);
    this.head.replaceChildren(...some([
      h("span", { class: "author", "--person": who.color }, who.name),
      !Number.isNaN(at.valueOf()) && h("time", { datetime: at.toISOString(), title: at.toLocaleString() }, clock(at)),
      edited && h("span", { class: "edited" }, "edited"),
    ]));
  }

  paintDeleted(who, mine) {
    this.parts = [];
    this.steers.replaceChildren();
    const said = h("span", {}, mine ? "You deleted this message." : `${who.name} deleted this message.`);
    this.body.replaceChildren(said);
    if (!this.lastText) return;
    const last = this.lastText;
    this.body.append(" ", h("button", { type: "button", class: "link", onclick: () => this.onReuse(last) }, "Use its text again"));
  }

  paintParts(message, run, session, work) {
    const placed = new Set();
    const parts = objects(message.parts).filter((part) => text(part.type));
    parts.forEach((part, index) => {
      if (part.type === "data-steer") placed.add(object(part.data).id);
      let view = this.parts[index];
      if (view?.type !== part.type) {
        view = { type: part.type, element: h("div", { class: "part" }), shown: undefined };
        if (this.parts[index]) this.parts[index].element.replaceWith(view.element);
        else this.body.append(view.element);
        this.parts[index] = view;
      }
      const key = text(part.text) || `${JSON.stringify(part)} ${run?.status}`;
      if (view.shown === key) return;
      view.shown = key;
      paintPart(view.element, part, run, session);
    });
    while (this.parts.length > parts.length) this.parts.pop().element.remove();
    // Steers that the answer doesn't place in its own text are shown below it.
    const last = list(run?.messages).at(-1) === message.id;
    const open = last ? objects(run.steers).filter((steer) => !placed.has(steer.id)) : [];
    this.steers.replaceChildren(...open.map((steer) => steerNote(steer, session, waits(steer, run, work))));
  }

  paintEnd(status, run, session) {
    const stopped = status === "cancelled" && run?.cancel?.by;
    const said = stopped ? `Stopped by ${person(run.cancel.by, session).name}` : failure(status, run);
    this.end.hidden = !said;
    this.end.replaceChildren(...some([said, said && !stopped && " ", said && status !== "lost" && retryButton(run, session, this.onRetry)]));
  }

  paintActions(own, copyable) {
    const key = `${own} ${copyable}`;
    if (key === this.actionsKey) return;
    this.actionsKey = key;
    this.actions.replaceChildren();
    const add = (name, label, testid, act) => this.actions.append(
      h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, "data-testid": testid, onclick: act }, icon(name)));
    if (copyable) {
      add("copy", "Copy the text", "copy", async (event) => {
        const button = event.currentTarget;
        if (await copy(this.message.text)) button.replaceChildren(icon("check"));
        setTimeout(() => button.replaceChildren(icon("copy")), 1500);
      });
    }
    if (!own) return;
    add("edit", "Edit", "edit", () => this.openEditor());
    add("trash", "Delete", "delete", () => {
      const { id, text } = this.message;
      if (tried(() => this.session.messages.remove(id))) this.lastText = text;
    });
  }

  openEditor() {
    if (this.editor) return;
    const input = h("textarea", { rows: "1", "aria-label": "The message's new text", "data-testid": "edit-input", dir: "auto" });
    input.value = this.message.text;
    const opened = input.value;
    const save = () => {
      const wanted = input.value;
      const { id, text } = this.message;
      const isSaved = !wanted.trim() || wanted === opened || tried(() => this.session.messages.edit(id, merge(opened, wanted, text)));
      if (isSaved) this.closeEditor();
    };
    input.addEventListener("input", () => grow(input));
    input.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.closeEditor();
      else if (isEnter(event)) save();
      else return;
      event.preventDefault();
    });
    this.editor = h("div", { class: "editor" }, input, h("div", { class: "editor-actions" },
      h("span", { class: "hint" }, "Esc cancels"),
      h("button", { type: "button", class: "button", onclick: () => this.closeEditor() }, "Cancel"),
      h("button", { type: "button", class: "button primary", "data-testid": "save-edit", onclick: save }, "Save")));
    this.box.before(this.editor);
    mark(this.element, "editing", "");
    grow(input);
    input.focus();
  }

  closeEditor() {
    if (!this.editor) return;
    const focused = this.editor.contains(document.activeElement);
    this.editor.remove();
    this.editor = null;
    mark(this.element, "editing", null);
    if (focused) this.actions.querySelector("[data-testid=edit]")?.focus();
  }
}

/** A run without text: its agent, and the steers to it; or how it failed. */
class SilentView {
  constructor(onRetry) {
    this.onRetry = onRetry;
    this.face = h("div", { class: "face" });
    this.name = h("span", { class: "author" });
    this.steers = h("div", { class: "steers" });
    this.dots = h("span", { class: "dots", role: "img", "aria-label": "is thinking" }, h("i"), h("i"), h("i"));
    this.end = h("p", { class: "message-end", "data-testid": "failure", hidden: true });
    this.element = h("li", { class: "message waiting", "data-role": "assistant" },
      this.face, h("div", { class: "column" }, h("div", { class: "message-head" }, this.name), this.dots, this.end, this.steers));
  }

  fail() {
    this.steers.replaceChildren();
  }

  paint(run, session, work) {
    const who = person(run.agent, session);
    const status = work.isAbandoned(run) ? "lost" : run.status;
    const said = failure(status, run);
    const key = JSON.stringify([who, run.steers, said]);
    if (key === this.key) return;
    this.key = key;
    this.face.replaceChildren(avatar(who));
    this.name.textContent = who.name;
    this.name.style.setProperty("--person", who.color);
    this.dots.hidden = Boolean(said);
    this.end.hidden = !said;
    this.end.replaceChildren(...some([said, said && " ", status === "error" && retryButton(run, session, this.onRetry)]));
    this.steers.replaceChildren(...objects(run.steers).map((steer) => steerNote(steer, session, waits(steer, run, work))));
  }
}

/** Returns the status of a message. One of a lost agent says `streaming` for ever: then its run's status counts. */
function statusOf(message, run, work) {
  const status = message.status;
  if (status !== "streaming" || !run) return status;
  if (work.isAbandoned(run)) return run.cancel ? "cancelled" : "lost";
  return work.isOpen(run) ? status : text(run.status);
}

/** Whether the agent may still take a steer in. */
function waits(steer, run, work) {
  return !list(run.seen).includes(steer.id) && work.isOpen(run) && !work.isAbandoned(run);
}

function clock(at) {
  const today = new Date().toDateString() === at.toDateString();
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return today ? time : `${at.toLocaleDateString([], { day: "numeric", month: "short" })}, ${time}`;
}
