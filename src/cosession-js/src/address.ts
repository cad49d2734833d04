/** The address of a session, with its query parameters. */

import { InvalidValue } from "./errors.ts";
import { guest, type Participant } from "./identity.ts";
import { checkedId } from "./json.ts";

export interface Address {
  readonly url: string;
  readonly session: string;
  /** They include the token that was used last. */
  readonly parameters: Record<string, string>;
}

/** `https://host/base` → `wss://host/base/sync`; a relative address is resolved against the page. */
export function syncUrl(url: string): string {
  const sync = new URL(url, globalThis.location?.href);
  sync.protocol = sync.protocol === "https:" || sync.protocol === "wss:" ? "wss:" : "ws:";
  sync.search = "";
  sync.hash = "";
  return `${sync.href.replace(/\/+$/, "")}/sync`;
}

/** Checks a session's id; a browser treats `.` and `..` as folders, however they are encoded in a URL. */
export function checkedSession(id: string): string {
  if (checkedId(id, "The id of a session") === "." || id === "..")
    throw new InvalidValue(`\`${id}\` can't be the id of a session: no address can hold it.`);
  return id.toWellFormed();
}

/** Returns the query parameters of a connection. */
export function parametersOf(
  { id, name, kind }: Participant,
  token: string | undefined,
  rollupMs: number,
): Record<string, string> {
  if (!(rollupMs >= 0 && rollupMs <= 1000))
    throw new InvalidValue(`\`rollupMs\` is a number of milliseconds up to 1000, not ${String(rollupMs)}.`);
  return {
    user: id || guest(), // used by a server without tokens
    name: name || "Guest",
    kind,
    ...(token === undefined ? {} : { token }),
    ...(rollupMs === 0 ? {} : { rollup: String(rollupMs) }),
  };
}
