/** The address of a session, with its query parameters. */

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
