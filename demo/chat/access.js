// The server's address, and the token of the link: in its fragment (#token=…), which neither a server nor another site gets to see.
// It is kept for this tab, and taken out of the address, so that a copied address gives no access.

const KEPT = "chat.token";

/** The server's address. The page says how to get there from its own, so that both may be below any path. */
export const server = new URL(document.querySelector("meta[name=server]").content, document.baseURI).href.replace(/\/$/, "");

const link = new URL(location.href);
const given = new URLSearchParams(link.hash.slice(1)).get("token") ?? link.searchParams.get("token");
if (given) {
  keep(given);
  link.hash = "";
  link.searchParams.delete("token");
  history.replaceState(null, "", link);
}

/** The token; undefined for a server without tokens. */
export const token = given ?? kept() ?? undefined;

const claims = token ? claimsOf(token) : {};

/** The holder of the token: {id, name}, or null without one. */
export const holder = typeof claims.sub === "string" ? { id: claims.sub, name: typeof claims.name === "string" ? claims.name : claims.sub } : null;

/** The headers of a request. */
export const credentials = token ? { authorization: `Bearer ${token}` } : {};

/** Returns how to get access, as a sentence for people. */
export function wayIn() {
  return token
    ? "Your link isn't good any more. Ask the person who gave it to you for a new one."
    : "This chat is for people who were given a link of their own. Open yours, or ask somebody who is in it for one.";
}

/** Returns why this page can't write here, as a sentence for people; empty when it can. */
export function restriction(session) {
  return session.may("prompt") ? "" : "You can read along here. To write, you need a link that lets you.";
}

/** Returns whether this page may stop a run: any, or one that answers its own prompt. */
export function mayStop(session, run) {
  if (session.may("cancel-any")) return true;
  const asked = session.messages.get(run.replyTo);
  return session.may("cancel-own") && (run.agent === session.me.id || asked?.author === session.me.id);
}

function keep(value) {
  try {
    sessionStorage.setItem(KEPT, value);
  } catch {
    // Without storage the token lasts as long as the page.
  }
}

function kept() {
  try {
    return sessionStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

/** Returns the claims of a token, unverified: only the server verifies it. */
function claimsOf(value) {
  try {
    const payload = atob(value.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
    return Object(JSON.parse(new TextDecoder().decode(Uint8Array.from(payload, (byte) => byte.charCodeAt(0)))));
  } catch {
    return {};
  }
}
