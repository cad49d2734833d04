// Who is who: oneself (kept in this browser), and names and colours of the others, remembered after they left.

import { h, icon } from "./element.js";

const COLOURS = ["#c2410c", "#0f766e", "#7c3aed", "#a16207", "#0369a1", "#be185d", "#4d7c0f", "#4338ca"];
const ANIMALS = ["Otter", "Heron", "Lynx", "Badger", "Finch", "Marten", "Ibex", "Kestrel", "Hare", "Seal", "Wren", "Beaver"];
const ME = "chat.me";
const REMEMBERED = "chat.people";
const MOST_REMEMBERED = 500; // a browser that has seen many sessions

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null; // private mode, or something else wrote there
  }
}

function write(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Without storage the name lasts as long as the page.
  }
}

/** A random UUID; crypto.randomUUID is missing where a phone opens the page over plain http. */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

const stored = read(ME) ?? {};
const me = { id: stored.id || uuid(), name: stored.name || "" };
if (!me.name) me.name = `Guest ${ANIMALS[hash(me.id) % ANIMALS.length]}`;
write(ME, me);

/** The person at this browser, as the session wants it: {id, name, color, kind}. */
export function self() {
  return { ...me, color: colourOf(me.id), kind: "human" };
}

export function rename(name) {
  me.name = name;
  write(ME, me);
}

const remembered = read(REMEMBERED) ?? {};

/** Keeps what presence says of people, so that their messages have names when they are gone. */
function remember(user) {
  const { name, color, kind } = user;
  const before = remembered[user.id];
  if (before && before.name === name && before.color === color && before.kind === kind) return;
  delete remembered[user.id];
  remembered[user.id] = { name, color, kind };
  const ids = Object.keys(remembered);
  if (ids.length > MOST_REMEMBERED) delete remembered[ids[0]];
  write(REMEMBERED, remembered);
}

/** {id, name, color, kind} of an author: from the session's record, from presence now or before, or from the id alone. */
export function person(id, session) {
  if (id === me.id) return self();
  const agent = session.agents.find((each) => each.id === id);
  const known = { ...session.participants?.[id], ...remembered[id] };
  return {
    id,
    name: known.name || agent?.name || "Someone",
    color: /^#[0-9a-f]{6}$/i.test(known.color ?? "") ? known.color : colourOf(id ?? ""),
    kind: agent ? "agent" : (known.kind ?? "human"),
  };
}

/** Changes when a name, a colour or a kind of anybody may have changed: messages that show them are then drawn anew. */
export function peopleKey(session) {
  const agents = session.agents.map(({ id, name }) => [id, name]);
  return JSON.stringify([me, session.presence.all.map(({ user }) => user), agents, session.participants]);
}

/** Those who are connected, one entry per participant: {id, name, color, kind, devices, typing}; agents last. */
export function present(session) {
  const people = new Map();
  for (const { user, typing } of session.presence.all) {
    if (!user?.id) continue;
    remember(user);
    const entry = people.get(user.id) ?? { ...person(user.id, session), devices: 0, typing: false };
    entry.devices += 1;
    entry.typing ||= Boolean(typing);
    people.set(user.id, entry);
  }
  return [...people.values()].sort((a, b) => (a.kind === "agent") - (b.kind === "agent"));
}

/** The round sign of a person or an agent; decoration, the name stands beside it. */
export function avatar({ name, color, kind }) {
  return h("span", { class: "avatar", "aria-hidden": "true", "--person": color, "data-kind": kind },
    kind === "agent" ? icon("spark") : initials(name));
}

function initials(name) {
  const words = name.trim().split(/\s+/);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return letters.map((word) => [...word][0] ?? "").join("").toUpperCase();
}

function colourOf(id) {
  return COLOURS[hash(id) % COLOURS.length];
}

function hash(text) {
  let value = 7;
  for (const letter of text) value = (value * 31 + letter.codePointAt(0)) >>> 0;
  return value;
}
