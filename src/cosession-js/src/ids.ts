/** Returns a fresh id, from getRandomValues, because randomUUID is missing on pages that aren't served over HTTPS. */

export function freshId(prefix: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return `${prefix}-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
