// A form that several people fill in together: each field live, and locked while a participant is in it.
//
// The page holds no copy of the form. A one-line field is a key of the session's state, a long one a text that is written
// together; both are read at each paint. Every field has a key of its own, so that no two pages make the same container.

import { ClaimHeld, colorOf, connect } from "./client/cosession.js";

const HELD_SECONDS = 20; // the longest time that a field stays locked for an idle participant
const RENEWED_MS = 5000;

const find = (id) => document.getElementById(id);
const link = new URL(location.href);
const given = new URLSearchParams(link.hash.slice(1)).get("token");
if (given) {
  kept(sessionStorage, "forms.token", given); // and out of the address, so that a copied one gives no access
  link.hash = "";
  history.replaceState(null, "", link);
}
const token = given ?? kept(sessionStorage, "forms.token") ?? undefined;
const name = kept(localStorage, "forms.name") || "Guest";

const session = connect(new URL(".", link).href, link.searchParams.get("session") ?? "visa", {
  token,
  ...(token ? {} : { name }),
});

class Field {
  constructor(label) {
    this.label = label;
    this.control = label.querySelector("input, select, textarea");
    this.name = this.control.name;
    this.claim = null;
    this.asking = false;
    this.typed = false; // here, and not written yet
    this.renewedAt = 0;
    this.holder = label.insertBefore(element("span", "holder"), this.control);
    this.offer = label.appendChild(element("p", "offer"));
    this.holder.dataset.testid = `holder-${this.name}`;
    this.offer.dataset.testid = `offer-${this.name}`;
    this.control.addEventListener("focus", () => this.enter());
    this.control.addEventListener("input", () => this.change());
    this.control.addEventListener("blur", () => this.leave());
  }

  get isLong() {
    return this.control.localName === "textarea";
  }

  get value() {
    const value = this.isLong ? session.text(this.name).toString() : session.state.get([this.name]);
    return typeof value === "string" ? value : "";
  }

  get isEntered() {
    return document.activeElement === this.control;
  }

  enter() {
    if (session.status !== "closed") session.presence.set({ at: { field: this.name, since: new Date().toISOString() } });
    this.hold();
  }

  change() {
    this.typed = true;
    if (this.claim) this.write();
    if (!this.claim || performance.now() - this.renewedAt > RENEWED_MS) this.hold();
  }

  leave() {
    if (session.status !== "closed") session.presence.set({ at: null });
    this.letGo();
    paint();
  }

  letGo() {
    this.claim?.release();
    this.claim = null;
  }

  /** Claims the field, or more time in it. Text that is typed meanwhile is written when the claim is granted. */
  async hold() {
    if (this.asking) return;
    this.asking = true;
    this.renewedAt = performance.now();
    try {
      const claim = await session.claim(`field/${this.name}`, { seconds: HELD_SECONDS });
      if (claim !== this.claim) this.begin(claim);
      if (!this.isEntered) this.letGo(); // left meanwhile, or changed without being entered
    } catch (error) {
      if (error instanceof ClaimHeld) this.giveWay();
      else tell(error.message); // the session is over
    } finally {
      this.asking = false;
      paint();
    }
  }

  begin(claim) {
    this.claim = claim;
    claim.waitLost().then(() => {
      if (this.claim === claim) this.claim = null;
      paint();
    });
    if (this.typed) this.write();
  }

  /** Leaves the field to the participant that was faster. */
  giveWay() {
    this.typed = false;
    this.control.blur();
  }

  write() {
    this.typed = false;
    try {
      if (this.isLong) session.text(this.name).set(this.control.value);
      else session.state.set([this.name], this.control.value);
    } catch (error) {
      this.typed = true; // it stays there
      tell(error.message);
    }
  }

  paint() {
    const holding = session.claims.get(`field/${this.name}`);
    const isOther = holding !== undefined && !holding.mine;
    this.label.dataset.holder = isOther ? "other" : holding ? "me" : "";
    this.holder.hidden = !isOther;
    if (isOther) {
      this.holder.textContent = nameOf(holding.by);
      this.label.style.setProperty("--person", colorOf(holding.by));
    }
    const lock = this.control.localName === "select" ? "disabled" : "readOnly";
    if (this.control[lock] !== isOther) this.control[lock] = isOther;
    if (!this.typed && this.control.value !== this.value) this.control.value = this.value;
    this.paintOffer();
  }

  paintOffer() {
    const message = session.messages.all.findLast(({ metadata }) => metadata.field === this.name);
    const isShown = message !== undefined && !dismissed().includes(message.id);
    this.offer.hidden = !isShown;
    if (!isShown || this.offer.dataset.message === message.id) return;
    this.offer.dataset.message = message.id;
    const thanks = element("button", "");
    thanks.type = "button";
    thanks.textContent = "Thanks";
    thanks.onclick = () => {
      if (session.status !== "closed") session.selections.set("dismissed", [...dismissed(), message.id]);
    };
    const from = document.createElement("b");
    from.textContent = nameOf(message.author);
    this.offer.replaceChildren(from, message.text, document.createElement("br"), thanks);
  }
}

const fields = [...document.querySelectorAll(".field")].map((label) => new Field(label));

function dismissed() {
  const ids = session.selections.get(session.me.id, "dismissed");
  return Array.isArray(ids) ? ids : [];
}

function nameOf(id) {
  return session.people.all.find((person) => person.id === id)?.name ?? "Somebody";
}

function paint() {
  for (const field of fields) field.paint();
  find("people").replaceChildren(...session.people.online.map(({ id, name }) => {
    const item = element("li", "");
    item.textContent = id === session.me.id ? `${name} (you)` : name;
    item.style.setProperty("--person", colorOf(id));
    return item;
  }));
  const state = session.status === "online" ? (session.saved ? "saved" : "saving") : session.status;
  find("saved").dataset.state = state;
  find("saved").textContent = { saved: "Saved", saving: "Saving…", connecting: "Connecting…", offline: "Offline", closed: "Not connected" }[state] ?? "";
  if (session.error) tell(session.error.message);
}

function tell(words) {
  find("notice").textContent = words;
  find("notice").hidden = false;
}

function element(kind, className) {
  return Object.assign(document.createElement(kind), { className });
}

/** What this browser keeps under a key, after writing it if there is something to write; null where it keeps nothing. */
function kept(storage, key, value) {
  try {
    if (value !== undefined) storage.setItem(key, value);
    return storage.getItem(key);
  } catch {
    return null;
  }
}

const mine = find("my-name");
mine.value = name;
mine.disabled = token !== undefined; // a token has the name
mine.addEventListener("change", () => {
  if (kept(localStorage, "forms.name", mine.value.trim()) !== null) location.reload();
});
for (const event of ["change", "presence", "people", "status", "saved"]) session.on(event, paint);
session.on("refused", ({ reason }) => tell(reason));
paint();
