// The page: opens the trip that the address names, and paints changes once per frame. It holds no copy of the document.

import { connect } from "../client/cosession.js";
import { holder, restriction, server, token, wayIn } from "../chat/access.js";
import { Composer } from "../chat/composer.js";
import { attempt, h, isEnter, keep, mark } from "../chat/element.js";
import { Here } from "../chat/here.js";
import { list as listOf } from "../chat/given.js";
import { MessageList } from "../chat/messages.js";
import { refuse, tell, tried } from "../chat/notice.js";
import { avatar, identity, present, rename, self } from "../chat/people.js";
import { showLoss } from "../chat/refused.js";
import { address, create, list, named } from "../chat/sessions.js";
import { shareDialog } from "../chat/share.js";
import { Work } from "../chat/work.js";
import { Approvals } from "./approval.js";
import { Cursors } from "./cursors.js";
import { Plan } from "./plan.js";
import { Queue } from "./queue.js";
import { threaded } from "./talk.js";
import { Team } from "./team.js";

const NEAR_PX = 64; // so close to the end counts as reading along

const find = (id) => document.getElementById(id);
const [scroller, title, notice, policy, asked] = ["scroller", "title", "notice", "policy", "asked"].map(find);

let session = null;
let atEnd = true;

const composer = new Composer({
  onSend: (text) => {
    session.send(text);
    atEnd = true;
  },
  onTyping: (typing) => session.status !== "closed" && session.presence.set({ typing: typing || null }),
});
const messages = new MessageList(find("messages"), { onReuse: composer.giveBack, onRetry: ({ text }) => composer.send(text) });
const work = new Work(schedule);
const here = new Here(find("people"), find("typing"), h("span", {}), schedule);
const share = shareDialog();
const team = new Team(find("agents"), { onRefused: tell });
const plan = new Plan(find);
const approvals = new Approvals(find("approvals"));
const queue = new Queue(find("queue"));
const cursors = new Cursors(find("cursors"));

// -- opening a trip

function open(id) {
  if (session) {
    composer.rest();
    session.close();
  }
  for (const view of [messages, team, plan, approvals, queue]) view.clear();
  notice.hidden = true;
  session = connect(server, id, { ...identity(), token, offline: true });
  const opened = session;
  for (const event of ["change", "presence", "people", "me", "status", "saved", "title"]) {
    opened.on(event, () => opened === session && schedule());
  }
  opened.on("refused", (loss) => opened === session && showLoss(notice, loss, opened.may("prompt") && !loss.final ? composer.giveBack : null));
  schedule();
}

async function make() {
  return (await create({ title: "A trip together", policy: { double_texting: "steer" } })).id;
}

async function begin() {
  paintMe();
  try {
    const id = named() ?? (await list())[0]?.id ?? (await make());
    history.replaceState(null, "", address(id));
    open(id);
  } catch (error) {
    shut(error.status === 401 ? wayIn() : `No trip could be opened. ${error.message}`);
    paintSaved("offline");
  }
}

async function startNew() {
  try {
    const id = await make();
    history.pushState(null, "", address(id));
    open(id);
  } catch (error) {
    tell(`A new trip could not be made. ${error.message}`);
  }
}

/** Says that there is no trip here, and why. */
function shut(text) {
  refuse(text, "Try again", () => location.reload());
}

// -- painting

let scheduled = false;

function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    if (session) paint();
  });
}

function paint() {
  const views = [
    paintStatus,
    () => work.look(session),
    () => here.paint(session, work, present(session).filter(({ kind }) => kind !== "agent")), // they have their cards
    () => messages.paint(session, work, threaded(session)),
    paintTold,
    () => paintTeam(team.paint(session)),
    () => plan.paint(session),
    () => queue.paint(session),
    () => paintAsked(approvals.paint(session)),
    () => (find("empty").hidden = !session.synced || session.messages.all.length > 0),
  ];
  for (const view of views) attempt(view);
  if (atEnd) scroller.scrollTop = scroller.scrollHeight;
  attempt(() => cursors.paint(session));
}

const SAVED = { saved: "Saved", saving: "Saving…", connecting: "Connecting…", offline: "Offline", closed: "Not connected" };

function paintSaved(state) {
  mark(find("saved"), "state", state);
  keep(find("saved"), "textContent", SAVED[state] ?? "");
}

function paintStatus() {
  const { status, saved, error } = session;
  paintSaved(status === "online" ? (saved ? "saved" : "saving") : status);
  mark(document.body, "status", status);
  const barred = restriction(session);
  composer.enabled = status !== "closed" && !barred;
  composer.hint = barred;
  if (document.activeElement !== title) keep(title, "value", session.title);
  title.disabled = status === "closed" || !session.may("title");
  keep(policy, "value", session.policy.doubleTexting);
  policy.disabled = !session.may("queue");
  find("new-session").disabled = !session.may("create");
  if (status === "closed" && notice.hidden) shut(error?.code === "auth.required" ? wayIn() : error?.message || "The server refused this trip.");
}

/** Says on a phone, where the team is out of sight, how many are here, and whether one has gone. */
function paintTeam(states) {
  const here = states.filter((state) => state !== "gone").length;
  mark(document.body, "gone", here < states.length ? "" : null);
  keep(find("tab-team"), "textContent", states.length ? `Team (${here})` : "Team");
}

/** Leads to the plan on a phone, where an approval would be out of sight. */
function paintAsked([first]) {
  mark(document.body, "asked", first ? "" : null);
  asked.hidden = !first;
  if (first) keep(asked, "textContent", `${first.question} · Decide`);
}

/** Marks the messages that steer a run, and whether its agent has read them. */
function paintTold() {
  const told = new Map(session.runs.all.flatMap((run) => listOf(run.steers).map(({ id }) => [id, listOf(run.seen).includes(id)])));
  for (const id of told.keys()) {
    const element = find("messages").querySelector(`[data-message-id="${CSS.escape(id)}"]`);
    if (element) mark(element, "told", told.get(id) ? "seen" : "sent");
  }
}

scroller.addEventListener("scroll", () => {
  atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_PX;
  cursors.paint(session);
}, { passive: true });
find("plan").addEventListener("scroll", () => cursors.paint(session), { passive: true });
new ResizeObserver(schedule).observe(scroller);

// -- actions

find("enqueue").addEventListener("click", () => composer.submit((text) => session.queue.add(text)));
policy.addEventListener("change", () => tried(() => session.policy.set({ doubleTexting: policy.value })));
title.addEventListener("change", () => tried(() => session.setTitle(title.value.trim())));
title.addEventListener("keydown", (event) => isEnter(event) && title.blur());
find("new-session").addEventListener("click", startNew);
find("share").addEventListener("click", () => session && share(session.id, session.may("invite")));
function turnTo(tab) {
  mark(document.body, "tab", tab);
  schedule();
}
for (const tab of document.querySelectorAll("[data-shows]")) tab.addEventListener("click", () => turnTo(tab.dataset.shows));
asked.addEventListener("click", () => turnTo("plan"));

const SUGGESTIONS = ["4 nights in Lisbon from Berlin for 2 people, under 1200 €", "Rome for three of us, 3 nights, with museums", "A weekend in Vienna from Paris"];
find("suggestions").append(...SUGGESTIONS.map((text) => h("button", { type: "button", class: "button", onclick: () => composer.send(text) }, text)));

const nameInput = find("name-input");

function paintMe() {
  keep(nameInput, "value", self().name);
  nameInput.disabled = holder !== null; // the token says it
  find("my-avatar").replaceChildren(avatar(self()));
}

nameInput.addEventListener("change", () => {
  const name = nameInput.value.trim();
  if (name && name !== self().name) {
    rename(name);
    if (session) open(session.id); // the name is part of the identity at the server
  }
  paintMe();
});
find("name-form").addEventListener("submit", (event) => {
  event.preventDefault();
  nameInput.blur();
});
addEventListener("popstate", () => named() && named() !== session?.id && open(named()));

begin();
