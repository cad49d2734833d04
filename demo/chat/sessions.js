// Sessions over HTTP: which there are, making one, letting others in. The open one is named in the address: ?session=ID.

import { credentials, server } from "./access.js";
import { h, keep, mark } from "./element.js";

const REFRESH_MS = 5000;
const MOST_LISTED = 100;
const MOST_PAGES = 10; // of a list of which one may read few, which is asked for every few seconds
const PATIENCE_MS = 10_000; // a server that hangs would be waited for for ever

/** The session that the address names, or null. */
export function named() {
  return new URLSearchParams(location.search).get("session");
}

/** The address of a session; other parameters stay. */
export function address(id) {
  const url = new URL(location.href);
  url.searchParams.set("session", id);
  url.hash = "";
  return url;
}

/** An error that the server answered. */
export class Problem extends Error {
  constructor(status, said) {
    super(said || `The server answered ${status}.`);
    this.status = status;
  }
}

async function ask(path, body) {
  const headers = { accept: "application/json", "content-type": "application/json", ...credentials };
  const request = { headers, signal: AbortSignal.timeout(PATIENCE_MS), ...(body && { method: "POST", body: JSON.stringify(body) }) };
  const response = await fetch(server + path, request).catch(() => {
    throw new Problem(0, "The server can't be reached.");
  });
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Problem(response.status, answer?.detail || answer?.title);
  if (answer === null) throw new Problem(0, "The server's answer was cut off.");
  return answer;
}

const invitations = (id) => `/sessions/${encodeURIComponent(id)}/invitations`;

/** The newest sessions that one may read. A page may be short and not the last, where one may read few of many. */
export async function list() {
  const sessions = [];
  let next = null;
  for (let page = 0; page < MOST_PAGES; page++) {
    const answer = await ask(next ? `/sessions?after=${encodeURIComponent(next)}` : "/sessions");
    sessions.push(...answer.sessions);
    next = answer.next;
    if (!next || sessions.length >= MOST_LISTED) break;
  }
  return sessions;
}
/** Makes a session, with a title and a policy if one likes. */
export const create = (given = {}) => ask("/sessions", given);
/** The roles for which one may let others into a session. */
export const roles = async (id) => (await ask(invitations(id))).roles;
/** Makes a token for another person: {token, expires_at}. */
export const invite = (id, name, role) => ask(invitations(id), { name, role });

export class SessionList {
  constructor(element, hint, { onOpen }) {
    this.element = element;
    this.hint = hint;
    this.onOpen = onOpen;
    this.rows = new Map();
    this.sessions = [];
    this.current = null;
    setInterval(() => document.visibilityState === "visible" && this.refresh(), REFRESH_MS);
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.refresh());
  }

  async refresh() {
    try {
      this.sessions = await list();
      this.hint.hidden = true;
    } catch {
      this.hint.textContent = "The server can't be reached. The list is as it was.";
      this.hint.hidden = false;
    }
    this.paint();
  }

  /** Marks the open session; its title is known here before the server's list says it. */
  show(id, title) {
    if (id === this.current && title === this.title) return;
    this.current = id;
    this.title = title;
    this.paint();
  }

  paint() {
    const sessions = [...this.sessions];
    if (this.current && !sessions.some((session) => session.id === this.current)) {
      sessions.unshift({ id: this.current, title: this.title, connections: 0 });
    }
    let next = this.element.firstElementChild;
    for (const session of sessions) {
      let row = this.rows.get(session.id);
      if (!row) this.rows.set(session.id, (row = this.makeRow(session.id)));
      if (row === next) next = next.nextElementSibling;
      else this.element.insertBefore(row, next);
      this.paintRow(row, session);
    }
    while (next) {
      const gone = next;
      next = next.nextElementSibling;
      gone.remove();
      for (const [id, row] of this.rows) if (row === gone) this.rows.delete(id);
    }
  }

  makeRow(id) {
    const link = h("a", { class: "session", "data-testid": "session-item", "data-session-id": id },
      h("span", { class: "session-title" }), h("span", { class: "session-when" }), h("span", { class: "session-live" }));
    link.addEventListener("click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
      event.preventDefault();
      this.onOpen(id);
    });
    return h("li", {}, link);
  }

  paintRow(row, { id, title, updated_at: updated, connections }) {
    const link = row.firstElementChild;
    const [name, when, live] = link.children;
    const current = id === this.current;
    keep(link, "href", address(id).href);
    keep(name, "textContent", (current && this.title !== undefined ? this.title : title) || "Untitled session");
    keep(when, "textContent", updated ? ago(new Date(updated)) : "");
    keep(live, "textContent", connections > 0 ? String(connections) : "");
    keep(live, "title", connections > 0 ? `${connections} connected` : "");
    mark(link, "current", current ? "" : null);
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];
const relative = new Intl.RelativeTimeFormat([], { style: "narrow", numeric: "auto" });

function ago(at) {
  const seconds = (at - Date.now()) / 1000;
  if (Number.isNaN(seconds)) return "";
  if (seconds < -7 * 86400) return at.toLocaleDateString([], { day: "numeric", month: "short" });
  for (const [unit, size] of UNITS) if (seconds <= -size) return relative.format(Math.ceil(seconds / size), unit);
  return "now";
}
