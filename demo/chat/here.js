// The connected participants: a face for each in the head of the page, the typing ones, and whether an agent is connected.

import { h, keep, mark } from "./element.js";
import { avatar, present } from "./people.js";

const NARROW = matchMedia("(max-width: 760px)");
const [FACES, FACES_NARROW] = [6, 4]; // more would push the title away
const PATIENCE_MS = 4000; // an agent that is asked to come needs a moment
const NAMES = 3; // so many have their names beside them

export class Here {
  #list;
  #typing;
  #line;
  #changed;
  #key = "";
  #waiting = null;

  constructor(list, typing, line, changed) {
    this.#list = list;
    this.#typing = typing;
    this.#line = line;
    this.#changed = changed;
    NARROW.addEventListener("change", changed);
  }

  paint(session, work, people = present(session)) {
    const room = NARROW.matches ? FACES_NARROW : FACES;
    const key = JSON.stringify([people, session.me.id, room]);
    if (key !== this.#key) {
      this.#key = key;
      this.#list.replaceChildren(...faces(people, room, session.me.id));
      mark(this.#list, "crowded", people.length > NAMES ? "" : null);
      const writing = people.filter((each) => each.typing && each.id !== session.me.id).map((each) => each.name);
      this.#typing.textContent = sentence(writing);
    }
    keep(this.#line, "textContent", this.#isUnanswered(session, work, people) ? "No agent is here: one that joins will answer" : "");
  }

  /** Whether the last prompt has waited a while, and no agent is here to answer it. */
  #isUnanswered(session, work, people) {
    const last = session.messages.all.at(-1);
    const isAgentHere = people.some((each) => each.kind === "agent") || work.open.some((run) => !work.isAbandoned(run));
    const isWaiting = session.status === "online" && session.synced && !isAgentHere && last?.role === "user";
    if (!isWaiting) this.#waiting = null;
    else if (this.#waiting?.id !== last.id) {
      this.#waiting = { id: last.id, since: performance.now() };
      setTimeout(this.#changed, PATIENCE_MS + 1);
    }
    return isWaiting && performance.now() - this.#waiting.since >= PATIENCE_MS;
  }
}

/** Returns a face for each participant that there is room for; the last one, an agent if there is one, is always shown. */
function faces(people, room, me) {
  const face = (each) => personItem(each, each.id === me);
  if (people.length <= room) return people.map(face);
  const hidden = people.slice(room - 2, -1);
  const names = hidden.map(({ name }) => name).join(", ");
  const more = h("li", { class: "more", "data-testid": "more-people", title: names },
    h("span", { "aria-hidden": "true" }, `+${hidden.length}`), h("span", { class: "hidden" }, `and ${names}`));
  return [...people.slice(0, room - 2).map(face), more, face(people.at(-1))];
}

function personItem({ id, name, color, kind, devices, typing, looking }, own) {
  const said = [own ? `${name} (you)` : name, devices > 1 ? `on ${devices} devices` : "", typing ? "is typing" : "", looking ? "" : "is looking elsewhere"].filter(Boolean);
  return h("li", { class: "person", "data-testid": "person", "data-person-id": id, "data-kind": kind, "data-typing": typing, "data-looking": looking ? "yes" : "no", title: said.join(", ") },
    avatar({ name, color, kind }), h("span", { class: "person-name" }, own ? "You" : name),
    h("span", { class: "hidden" }, own ? ` (${name})` : "", typing ? " is typing" : ""),
    devices > 1 ? h("span", { class: "devices", "aria-hidden": "true" }, `×${devices}`) : null);
}

function sentence(names) {
  if (!names.length) return "";
  if (names.length > 2) return "Several people are typing…";
  return `${names.join(" and ")} ${names.length > 1 ? "are" : "is"} typing…`;
}
