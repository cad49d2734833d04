// The link to a session, to copy or to read with a phone's camera. With a server that has tokens, a page that may
// invite makes one for each person; the token is in the link's fragment.

import { token } from "./access.js";
import { copy, h } from "./element.js";
import { address, invite, roles } from "./sessions.js";
import { qrcode } from "./vendor/qrcode.js";

const SVG = "http://www.w3.org/2000/svg";
const QUIET = 2; // modules of margin; the white around makes up for the rest

/** The rights of each role, as the end of "NAME can …". Agents get their tokens elsewhere. */
const MAY = {
  viewer: "read along",
  member: "read and write",
  operator: "read, write, edit and stop everything, and invite others",
  admin: "do everything, also delete the session",
};

const OPEN = "Whoever opens the link joins in: another person, or you on another device.";
const OWN = "Others see this session by a link of their own, which says who they are and what they may do.";

/** Makes the share dialog; returns the function that opens it for a session. */
export function shareDialog() {
  const lead = h("p", {});
  const name = h("input", { "data-testid": "invite-name", required: true, maxlength: "40", autocomplete: "off", spellcheck: "false", placeholder: "Their name" });
  const role = h("select", { "data-testid": "invite-role" });
  const form = h("form", { class: "invite", hidden: true },
    h("label", {}, "For whom ", name), h("label", {}, "They can ", role),
    h("button", { class: "button primary", "data-testid": "invite-make" }, "Make a link"));
  const picture = h("div", { class: "share-code" });
  const link = h("input", { "data-testid": "share-link", readonly: true, "aria-label": "Link to this session" });
  const button = h("button", { class: "button primary", type: "button" }, "Copy link");
  const shown = h("div", {}, picture, h("div", { class: "share-row" }, link, button));
  const hint = h("p", { class: "hint", role: "status", "data-testid": "share-hint", hidden: true });
  const another = h("button", { class: "button", type: "button", "data-testid": "share-another", hidden: true }, "Make another");
  const done = h("button", { id: "share-close", class: "button", type: "button" }, "Done");
  const dialog = h("dialog", { class: "dialog", "aria-labelledby": "share-heading", "data-testid": "share-dialog" },
    h("h2", { id: "share-heading" }, "Share this session"), lead, form, shown, hint, h("div", { class: "dialog-actions" }, another, done));
  document.body.append(dialog);
  let session = "";

  const show = (url, ...said) => {
    link.value = url;
    button.textContent = "Copy link";
    picture.replaceChildren(code(url));
    shown.hidden = false;
    say(...said);
  };
  const say = (...said) => {
    hint.replaceChildren(...said);
    hint.hidden = !said.length;
  };
  const askForWhom = () => {
    shown.hidden = another.hidden = true;
    form.hidden = false;
    say();
    name.value = "";
    name.focus();
  };

  done.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  button.addEventListener("click", async () => {
    link.select();
    const isCopied = (await copy(link.value)) || document.execCommand("copy"); // plain http has only the old way
    button.textContent = isCopied ? "Copied" : "Press Ctrl+C";
  });
  another.addEventListener("click", askForWhom);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const who = name.value.trim();
    if (!who) return;
    const [asked, may] = [session, MAY[role.value]];
    try {
      const made = await invite(asked, who, role.value);
      if (asked !== session) return; // the dialog is another session's now
      const url = address(asked);
      url.hash = `token=${made.token}`;
      form.hidden = true;
      another.hidden = false;
      show(url.href, h("strong", {}, who), ` can ${may}, until ${new Date(made.expires_at * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}. `,
        `Whoever opens this link is ${who} here, so make another one for the next person.`);
    } catch (error) {
      if (asked === session) say(`No link could be made. ${error.message}`);
    }
  });

  return async (id, mayInvite) => {
    session = id;
    form.hidden = another.hidden = true;
    lead.textContent = token ? OWN : OPEN;
    const url = address(id);
    if (!token) show(url.href, ...(isThisMachine(url) ? hereOnly() : []));
    else if (!mayInvite) show(url.href, "This link has no access in it: it opens for people who have their own. For somebody who has none, ask the person who gave you yours.");
    else shown.hidden = true;
    dialog.showModal();
    if (!token || !mayInvite) return;
    try {
      const given = (await roles(id)).filter((each) => each in MAY);
      if (session !== id) return;
      role.replaceChildren(...given.map((each) => h("option", { value: each, selected: each === "member" }, MAY[each])));
      askForWhom();
    } catch (error) {
      if (session === id) show(url.href, `This link has no access in it. ${error.message}`);
    }
  };
}

function isThisMachine({ hostname }) {
  return ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
}

const hereOnly = () => ["This address works on this computer only. For other devices in your network, start the server with ",
  h("code", {}, "--host 0.0.0.0 --insecure"), " and open this page by the computer's address."];

function code(text) {
  const qr = qrcode(0, text.length > 200 ? "L" : "M"); // a link with a token is long: fewer, larger squares
  qr.addData(text);
  qr.make();
  const size = qr.getModuleCount();
  let path = "";
  for (let row = 0; row < size; row += 1) {
    for (let column = 0; column < size; column += 1) {
      if (qr.isDark(row, column)) path += `M${column + QUIET} ${row + QUIET}h1v1h-1z`;
    }
  }
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${size + 2 * QUIET} ${size + 2 * QUIET}`);
  svg.setAttribute("role", "img");
  if (size > 45) svg.dataset.dense = ""; // a camera wants its squares large enough
  svg.setAttribute("aria-label", "QR code of the link");
  const drawn = document.createElementNS(SVG, "path");
  drawn.setAttribute("d", path);
  svg.append(drawn);
  return svg;
}
