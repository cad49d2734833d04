/** The current time, as it is written into documents. */

/** Returns the time as RFC 3339 in UTC, by this machine's clock. */
export function now(): string {
  return new Date().toISOString();
}
