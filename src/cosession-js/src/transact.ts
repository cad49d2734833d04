/** Writing in one transaction: an error of a listener is reported, and doesn't reach the writer. */

import type * as Y from "yjs";
import { report } from "./errors.ts";

/** Makes a change of a document in one transaction, inside of the one that is open if there is one. */
export function transact<Result>(doc: Y.Doc | null, change: () => Result): Result {
  if (doc === null) return change();
  let result: { readonly value: Result } | undefined;
  let failure: { readonly error: unknown } | undefined;
  try {
    doc.transact(() => {
      try {
        result = { value: change() };
      } catch (error) {
        failure = { error };
      }
    }, "cosession");
  } catch (error) {
    report(error); // Yjs calls observers at the end of a transaction, and propagates their errors
  }
  if (result !== undefined) return (result as { readonly value: Result }).value;
  throw failure?.error ?? new Error("Yjs didn't carry out the change.");
}
