// Participants: this page's own (kept in this browser), and the others by presence and the session's records.

import { colorOf } from "/client/cosession.js";
import { holder } from "./access.js";
import { idOf } from "./given.js";
import { h, icon } from "./element.js";

const ANIMALS = ["Otter", "Heron", "Lynx", "Badger", "Finch", "Marten", "Ibex", "Kestrel", "Hare", "Seal", "Wren", "Beaver"];
const ME = "chat.me";

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

const me = holder ? { ...holder } : guest();

function guest() {
  const stored = read(ME) ?? {};
  const id = stored.id || uuid();
  const known = { id, name: stored.name || `Guest ${ANIMALS[parseInt(id.slice(-6), 16) % ANIMALS.length]}` };
  write(ME, known);
  return known;
}

/** This page's participant, as the options of connect(). */
export function identity() {
  const { id, ...rest } = self();
  return { participant: id, ...rest };
}

/** The person at this browser: {id, name, color, kind}. */
export function self() {
  return { ...me, color: colorOf(me.id), ...(holder ? {} : { kind: "human" }) };
}

export function rename(name) {
  me.name = name;
  if (!holder) write(ME, me);
}

let shades = { presence: null, people: null, of: new Map() };

/**
 * Returns the colours of the connected people, by id: different ones, as long as there are colours. The order of arrival
 * decides, so all pages choose alike, and a colour doesn't change when another person comes. Agents come and go all the
 * time: each has the colour of its id.
 */
function colorsHere({ presence: { all }, people }) {
  if (shades.presence === all && shades.people === people.all) return shades.of;
  const here = all.filter(({ user }) => user.kind !== "agent");
  const wanted = new Map([[me.id, ""], ...here.map(({ user }) => [user.id, user.color])]);
  wanted.delete("");
  const turn = (id) => `${people.get(id).since ?? "~"} ${id}`; // ~ is after all times
  const inTurn = [...wanted].sort(([a], [b]) => (turn(a) < turn(b) ? -1 : 1));
  const taken = new Set();
  const of = new Map();
  for (const [id, color] of inTurn) {
    of.set(id, /^#[0-9a-f]{6}$/i.test(color) && !taken.has(color) ? color : colorOf(id, taken));
    taken.add(of.get(id));
  }
  shades = { presence: all, people: people.all, of };
  return of;
}

/** Returns {id, name, color, kind} of an author, by presence or the server's records. */
export function person(author, session) {
  const id = idOf(author);
  const color = colorsHere(session).get(id) ?? colorOf(id);
  if (id === me.id) return { ...self(), color };
  const agent = session.agents.get(id);
  const known = session.people.all.find((each) => each.id === id);
  return {
    id,
    name: known?.name || agent?.name || "Someone",
    color,
    kind: agent ? "agent" : (known?.kind ?? "human"),
  };
}

/** Returns a key that changes with any name, colour or kind: messages that show them are then drawn anew. */
export function peopleKey(session) {
  const agents = session.agents.all.map(({ id, name }) => [id, name]);
  const people = session.people.all.map(({ id, name, color, kind, since }) => [id, name, color, kind, since]);
  return JSON.stringify([me, agents, people, [...colorsHere(session)]]);
}

/**
 * Returns the connected participants: {id, name, color, kind, devices, typing, looking} each; this page's own first,
 * agents last.
 */
export function present(session) {
  const people = new Map();
  for (const { user, fields, visible } of session.presence.all) {
    const { id } = user;
    if (!id) continue;
    const entry = people.get(id) ?? { ...person(id, session), devices: 0, typing: false, looking: false };
    entry.devices += 1;
    entry.typing ||= Boolean(fields.typing);
    entry.looking ||= visible !== false; // other clients don't say
    people.set(id, entry);
  }
  const rank = ({ id, kind }) => (kind === "agent" ? 2 : id === me.id ? 0 : 1);
  return [...people.values()].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
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
