/** Change events: after each transaction, one for each root that changed. */

import type * as Y from "yjs";

/** The callbacks after a change of a root, by the root's name; `any` is called last, after every change. */
export interface Announcements {
  readonly any: (transaction: Y.Transaction) => void;
  readonly [root: string]: (transaction: Y.Transaction) => void;
}

export function announceChanges(doc: Y.Doc, { any, ...announcements }: Announcements): void {
  doc.on("afterTransaction", (transaction: Y.Transaction) => {
    if (transaction.changed.size === 0) return;
    const changed = new Set<unknown>();
    for (const type of transaction.changed.keys()) changed.add(rootOf(type));
    for (const [name, announce] of Object.entries(announcements)) {
      if (changed.has(doc.share.get(name))) announce(transaction);
    }
    any(transaction);
  });
}

// biome-ignore lint/suspicious/noExplicitAny: a Y.AbstractType of any events
function rootOf(type: Y.AbstractType<any>): unknown {
  let root = type;
  while (root.parent) root = root.parent;
  return root;
}
