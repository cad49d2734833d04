/**
 * The participant of this page.
 *
 * In development the server accepts the identity given here (on loopback); with a token it uses the token's, and sets
 * the name in presence. Without an id and a token, an id is made and kept in this browser, so that a reload is the same
 * guest.
 */

import { CosessionError, InvalidValue } from "./errors.ts";
import { freshId } from "./ids.ts";
import { checkedText, isObject } from "./json.ts";

export type Kind = "human" | "agent" | "operator";

export interface Participant {
  readonly id: string;
  readonly name: string;
  readonly color: string;
  readonly kind: Kind;
}

/** The identity that an application gives this page. */
export interface Given {
  participant?: string | undefined;
  name?: string | undefined;
  color?: string | undefined;
  kind?: string | undefined;
}

const KINDS: readonly unknown[] = ["human", "agent", "operator"];

/** Hex, because editors' cursor plugins add an alpha to it; each is readable with white text, and as text on white. */
const COLORS = ["#c2410c", "#0f766e", "#7c3aed", "#b45309", "#0369a1", "#be185d", "#4d7c0f", "#4338ca"];
const KEPT = "cosession.guest";

/**
 * Returns the participant as far as this page knows it before the server's grant. The id and the name are empty when
 * the token comes later or is opaque: then only the server knows them.
 */
export function identify(given: Given, token: string | undefined, hasToken: boolean): Participant {
  const said = {
    participant: textOf(given.participant, "participant"),
    name: textOf(given.name, "name"),
    color: textOf(given.color, "color"),
    kind: textOf(given.kind, "kind"),
  };
  if (said.kind !== undefined && !KINDS.includes(said.kind))
    throw new InvalidValue(`\`kind\` is human, agent or operator, not ${said.kind}.`);
  const claims = token === undefined ? {} : claimsOf(token);
  const id = (said.participant ?? claims.sub ?? "").trim() || (hasToken ? "" : guest());
  return Object.freeze({
    id,
    name: said.name ?? claims.name ?? (id === "" ? "" : "Guest"),
    color: said.color ?? colorOf(id),
    kind: kindOf(said.kind ?? claims.kind),
  });
}

/** Returns a kind of participants for what a client said. */
export function kindOf(value: unknown): Kind {
  return KINDS.includes(value) ? (value as Kind) : "human";
}

function textOf(value: unknown, field: string): string | undefined {
  return value === undefined || value === null ? undefined : checkedText(value, `\`${field}\``);
}

/** Returns the id under which this page writes. */
export function knownId({ id }: { readonly id: string }): string {
  if (id !== "") return id;
  throw new CosessionError(
    "identity.unknown",
    "Whom this page's token is for isn't known yet; await waitSynced(), or give `participant` to connect().",
  );
}

/** Returns a colour, the same for one id on every device; none of those that are taken, as long as there are others. */
export function colorOf(id: string, taken: ReadonlySet<string> = new Set()): string {
  let hash = 7;
  for (const character of id) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) >>> 0;
  const first = hash % COLORS.length;
  const inTurn = [...COLORS.slice(first), ...COLORS.slice(0, first)];
  return inTurn.find((color) => !taken.has(color)) ?? (COLORS[first] as string);
}

/** Returns `sub`, `name` and `kind` of a JSON Web Token, unverified: only the server verifies it. */
function claimsOf(token: string): { sub?: string; name?: string; kind?: string } {
  try {
    const base64 = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (!isObject(claims)) return {};
    return {
      ...(typeof claims.sub === "string" ? { sub: claims.sub } : {}),
      ...(typeof claims.name === "string" ? { name: claims.name } : {}),
      ...(typeof claims.kind === "string" ? { kind: claims.kind } : {}),
    };
  } catch {
    return {}; // an opaque token: the application then gives its `participant`
  }
}

/** Returns an id for a page without one; it is kept in this browser. */
export function guest(): string {
  try {
    const kept = localStorage.getItem(KEPT) ?? freshId("guest");
    localStorage.setItem(KEPT, kept);
    return kept;
  } catch {
    return freshId("guest"); // no storage: outside of a browser, or forbidden
  }
}
