/** Grants: the verified identity and capabilities of this page (frame 104). Until one arrives, all is allowed. */

import { NotAllowed } from "./errors.ts";
import { type Kind, kindOf, type Participant } from "./identity.ts";
import { isObject } from "./json.ts";

export interface Grant {
  readonly id: string;
  readonly name: string;
  readonly kind: Kind;
  readonly capabilities: readonly string[];
  /** Unix time in seconds; null when it doesn't expire. */
  readonly expires_at: number | null;
  /** The server's limits, as received. */
  readonly limits: unknown;
}

/** The identity of this page: as the server verified it, or, until then, as this page requested. */
export interface Identity extends Participant {
  /** Null until the server has sent them. */
  readonly capabilities: readonly string[] | null;
  /** When the access ends, RFC 3339; null when it doesn't. */
  readonly expiresAt: string | null;
}

/** Checks that this page may do something, as far as the server has said; needs one of the capabilities. */
export function checkAllowed(
  { capabilities }: Pick<Identity, "capabilities">,
  what: string,
  ...needs: readonly string[]
): void {
  if (capabilities === null || needs.some((each) => includes(capabilities, each))) return;
  throw new NotAllowed(`${what} needs the capability ${needs.join(" or ")}, which this page doesn't have.`, {
    needs,
  });
}

/** Parses a grant; undefined when the text is none. */
export function grantFrom(json: string): Grant | undefined {
  const said: unknown = JSON.parse(json);
  if (!isObject(said) || typeof said.id !== "string" || !Array.isArray(said.capabilities)) return undefined;
  const { id, name, kind, capabilities, expires_at } = said;
  return {
    id,
    name: typeof name === "string" ? name : id,
    kind: kindOf(kind),
    capabilities: Object.freeze(capabilities.filter((each): each is string => typeof each === "string")),
    expires_at: typeof expires_at === "number" ? expires_at : null,
    limits: said.limits,
  };
}

/** Returns whether capabilities include one: `prompt`, `text:notes`, or `state:trip/hotel` (as `state:trip` does). */
export function includes(capabilities: readonly string[], wanted: string): boolean {
  if (capabilities.includes("admin") || capabilities.includes(wanted)) return true;
  const [kind, argument] = split(wanted);
  return capabilities.some((capability) => {
    const [granted, path] = split(capability);
    if (argument === undefined || granted !== kind || path === undefined) return false;
    if (path === "*") return true;
    return kind === "state" && `${bare(argument)}/`.startsWith(`${bare(path)}/`);
  });
}

function split(capability: string): [string, string | undefined] {
  const colon = capability.indexOf(":");
  return colon < 0 ? [capability, undefined] : [capability.slice(0, colon), capability.slice(colon + 1)];
}

function bare(path: string): string {
  return path.replace(/^\//, "");
}
