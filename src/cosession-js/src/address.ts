/** Where a session is, and what its server is told in the query. */

export interface Address {
  readonly url: string;
  readonly session: string;
  /** The token in it is the last one that was given. */
  readonly parameters: Record<string, string>;
}

/** `https://host/base` → `wss://host/base/sync`. */
export function syncUrl(url: string): string {
  const sync = new URL(url);
  sync.protocol = sync.protocol === "https:" || sync.protocol === "wss:" ? "wss:" : "ws:";
  sync.search = "";
  sync.hash = "";
  return `${sync.href.replace(/\/+$/, "")}/sync`;
}
