// The page: opens the session that the address names, and paints changes once per frame.

import { connect } from "./client/cosession.js";
import { holder, restriction, server, token, wayIn } from "./access.js";
import { Composer } from "./composer.js";
import { closeDrawer } from "./drawer.js";
import { attempt, h, isEnter, keep, mark } from "./element.js";
import { Here } from "./here.js";
import { plain } from "./markdown.js";
import { MessageList } from "./messages.js";
import { refuse, tell, tried } from "./notice.js";
import { avatar, identity, person, rename, self } from "./people.js";
import { showLoss } from "./refused.js";
import { RunCards } from "./runs.js";
import { SessionList, address, create, list, named } from "./sessions.js";
import { shareDialog } from "./share.js";
import { Work } from "./work.js";

const NEAR_PX = 64; // so close to the end counts as reading along
const TITLE_LENGTH = 60;
const SPOKEN_LENGTH = 600; // a screen reader announces so much of an answer; the rest is in the list
const SHARE_OF_TIME = 3; // painting takes at most about a third of the time, however long the answer is

const find = (id) => document.getElementById(id);
const [scroller, title, notice] = ["scroller", "title", "notice"].map(find);

let session = null;
let atEnd = true;
let announced = null; // ids of messages that were there or were read out; null until the session is here
const drafts = new Map();

const composer = new Composer({
  onSend: (text) => {
    const { id } = session.send(text);
    entitle(firstLine(text), ({ title, messages }) => !title && messages.all[0]?.id === id);
    atEnd = true;
  },
  onTyping: (typing) => session.status !== "closed" && session.presence.set({ typing: typing || null }),
});
const messages = new MessageList(find("messages"), { onReuse: composer.giveBack, onRetry: ({ text }) => composer.send(text) });
const work = new Work(schedule);
const runs = new RunCards(find("runs"), { onRefused: tell });
const here = new Here(find("people"), find("typing"), find("agent-line"), schedule);
const sessions = new SessionList(find("sessions"), find("sessions-hint"), { onOpen: (id) => go(id) });
const share = shareDialog();

// -- opening a session

function open(id) {
  if (session) {
    drafts.set(session.id, composer.text);
    composer.rest();
    session.close();
  }
  messages.clear();
  runs.clear();
  announced = null;
  atEnd = true;
  notice.hidden = true;
  session = connect(server, id, { ...identity(), token, offline: true });
  const opened = session;
  for (const event of ["messages", "runs", "agents", "presence", "me", "status", "saved", "copy", "title", "change"]) {
    opened.on(event, () => opened === session && schedule());
  }
  opened.on("refused", (loss) => opened === session && showLoss(notice, loss, opened.may("prompt") && !loss.final ? composer.giveBack : null));
  opened.waitSynced().then(() => {
    if (opened !== session) return;
    announced = new Set(session.messages.all.map((message) => message.id));
    sessions.refresh();
    schedule();
  }, () => {}); // refused: the status says why
  composer.text = drafts.get(id) ?? "";
  schedule();
}

function go(id) {
  closeDrawer();
  if (id === session?.id) return;
  history.pushState(null, "", address(id));
  open(id);
  if (matchMedia("(hover: hover)").matches) composer.focus();
}

async function begin() {
  paintMe();
  try {
    const id = named() ?? (await list())[0]?.id ?? (await create()).id;
    history.replaceState(null, "", address(id));
    open(id);
  } catch (error) {
    refuse(error.status === 401 ? wayIn() : `No session could be opened. ${error.message}`, "Try again", () => location.reload());
    markSaved("offline", "Offline");
    find("share").disabled = true;
  }
}

async function startNew() {
  try {
    const { id } = await create();
    go(id);
    sessions.refresh();
  } catch (error) {
    tell(`A new session could not be made. ${error.message}`);
  }
}

// -- painting: once per frame, and less often when a long answer makes it dear

let scheduled = false;
let dueAt = 0;

function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(function frame(now) {
    if (now < dueAt) return requestAnimationFrame(frame);
    scheduled = false;
    const began = performance.now();
    paint();
    const ended = performance.now();
    if (ended - began > 8) dueAt = ended + (SHARE_OF_TIME - 1) * (ended - began);
  });
}

const VIEWS = [
  paintStatus, // first: whatever the rest does, it must be true
  paintTitle,
  paintMyFace,
  () => work.look(session),
  () => here.paint(session, work),
  () => messages.paint(session, work),
  () => runs.paint(session, work),
  paintEmpty,
  announce,
];

function paint() {
  if (!session) return;
  for (const view of VIEWS) attempt(view);
  if (atEnd) toEnd();
}

function paintEmpty() {
  find("empty").hidden = !session.synced || session.messages.all.length > 0 || work.open.length > 0;
  const barred = Boolean(restriction(session));
  find("suggestions").hidden = barred;
  keep(find("empty-heading"), "textContent", barred ? "Nothing was said here yet" : "Everyone here writes in one conversation");
  keep(find("empty-text"), "textContent", barred
    ? "As soon as somebody writes, you see it, and the answer while it grows."
    : "What you send, and the answer while it grows, is seen by all who are let in: on this screen, on your phone, by others.");
}

const SAVED = {
  saved: ["saved", "Saved"],
  saving: ["saving", "Saving…"],
  connecting: ["connecting", "Connecting…"],
  offline: ["offline", "Offline"],
  unsent: ["offline", "Offline, not sent yet"],
  unkept: ["offline", "Offline, not sent yet: keep this page open"],
  closed: ["closed", "Not connected"],
};

function paintStatus() {
  const { status, saved, error } = session;
  let state = status;
  if (status === "online") state = saved ? "saved" : "saving";
  if (status === "offline" && !saved) state = session.copy === "kept" ? "unsent" : "unkept";
  markSaved(...(SAVED[state] ?? SAVED.connecting));
  const closed = status === "closed";
  mark(document.body, "status", status);
  const barred = restriction(session);
  composer.enabled = !closed && !barred;
  composer.hint = closed ? "Nothing can be sent now. What stands in the box stays there." : barred;
  title.disabled = closed || !session.may("title");
  find("new-session").disabled = !session.may("create");
  find("new-session").title = session.may("create") ? "" : "Your access doesn't include making sessions.";
  mark(document.body, "edits", session.may("edit-own") ? null : "no");
  if (closed && notice.dataset.refused !== session.id && (notice.hidden || !notice.querySelector(".lost"))) {
    if (error?.code === "auth.required") refuse(wayIn(), "Try again", () => location.reload());
    else if (error?.code === "auth.forbidden") refuse(error.message, "Show my sessions", () => location.assign(location.pathname));
    else refuse(error?.message || "The server refused this session.", "Start a new session", startNew);
    notice.dataset.refused = session.id;
  } else if (!closed) delete notice.dataset.refused;
}

function markSaved(state, text) {
  mark(find("saved"), "state", state);
  keep(find("saved"), "textContent", text);
}

function paintTitle() {
  if (document.activeElement !== title) keep(title, "value", session.title ?? "");
  document.title = `${session.title || "Untitled session"} · Shared chat`;
  sessions.show(session.id, session.title);
}

/** Says finished messages of others to a screen reader: whole, and not word by word while they grow. */
function announce() {
  if (!announced) return;
  for (const message of session.messages.all) {
    if (message.status === "streaming" || announced.has(message.id)) continue;
    announced.add(message.id);
    if (message.author === session.me.id) continue;
    find("announce").textContent = `${person(message.author, session).name}: ${plain(message.text.slice(0, SPOKEN_LENGTH))}`;
  }
}

// -- scrolling: stays at the end while the reader is there

function toEnd() {
  scroller.scrollTop = scroller.scrollHeight;
}

scroller.addEventListener("scroll", () => {
  atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_PX;
  find("jump").hidden = atEnd;
}, { passive: true });
find("jump").addEventListener("click", () => {
  atEnd = true;
  toEnd();
});
new ResizeObserver(() => atEnd && toEnd()).observe(scroller);

// -- writing

function firstLine(text) {
  const line = [...plain(text).split("\n")[0]];
  return line.length > TITLE_LENGTH ? `${line.slice(0, TITLE_LENGTH - 1).join("").trimEnd()}…` : line.join("");
}

const SUGGESTIONS = ["What can we do together here?", "Plan a weekend in Lisbon, with a table", "Explain CRDTs with a small example"];
find("suggestions").append(...SUGGESTIONS.map((text) => h("button", {
  type: "button",
  class: "button",
  onclick: () => composer.send(text),
}, text)));

// -- title, name, share

title.addEventListener("keydown", (event) => {
  if (event.key === "Escape") title.value = session?.title ?? "";
  if (event.key === "Escape" || isEnter(event)) title.blur();
});
title.addEventListener("change", () => session && entitle(title.value.trim()));

/** Sets the title, in a session that is new only when the server has begun it: the title that it begins with would win. */
function entitle(text, wanted = () => true) {
  const named = session;
  const begun = named.doc.getMap("meta").size > 0 ? Promise.resolve() : named.waitSynced();
  begun.then(() => wanted(named) && tried(() => named.setTitle(text)), () => {}); // refused: the status says why
}

const nameInput = find("name-input");

function paintMe() {
  keep(nameInput, "value", self().name);
  nameInput.disabled = holder !== null; // the token says it
  nameInput.title = holder ? "Your name comes with your link." : "";
  paintMyFace();
}

let myFace = "";

function paintMyFace() {
  const who = session ? person(self().id, session) : self();
  const key = JSON.stringify(who);
  if (key === myFace) return;
  myFace = key;
  find("my-avatar").replaceChildren(avatar(who));
}

function saveName() {
  const name = nameInput.value.trim();
  if (name && name !== self().name) {
    rename(name);
    // The name is part of the identity at the server: connect again with the new one.
    if (session) open(session.id);
  }
  paintMe();
}

nameInput.addEventListener("change", saveName);
find("name-form").addEventListener("submit", (event) => {
  event.preventDefault();
  nameInput.blur();
});
find("new-session").addEventListener("click", startNew);
find("share").addEventListener("click", () => session && share(session.id, session.may("invite")));

addEventListener("popstate", () => named() && named() !== session?.id && open(named()));

begin();
