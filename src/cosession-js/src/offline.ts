/**
 * The copy of a session in this browser (IndexedDB): edits made offline survive a reload.
 *
 * It belongs to one server, session and participant: who logs in next neither sees nor sends what another one wrote.
 */

import { IndexeddbPersistence } from "y-indexeddb";
import type * as Y from "yjs";

/** IndexedDB may never answer (a known fault of browsers); then the page works without its copy. */
const PATIENCE_MS = 3_000;

export class OfflineCopy {
  /** Settles when the copy is in the document, or won't be. */
  readonly loaded: Promise<void>;
  readonly #persistence: IndexeddbPersistence;

  constructor(name: string, doc: Y.Doc) {
    this.#persistence = new IndexeddbPersistence(name, doc);
    this.loaded = new Promise((resolve) => {
      const patience = setTimeout(resolve, PATIENCE_MS);
      const settle = (): void => {
        clearTimeout(patience);
        resolve();
      };
      this.#persistence.whenSynced.then(settle);
      this.#persistence._db.catch(settle);
    });
  }

  async close(): Promise<void> {
    await this.#persistence.destroy().catch(() => {}); // what couldn't be opened needs no closing
  }

  /** Removes the copy from this browser, for good. */
  async discard(): Promise<void> {
    await this.#persistence.clearData();
  }
}

export function copyName(url: string, session: string, participant: string): string {
  return `cosession:${url}:${encodeURIComponent(session)}:${encodeURIComponent(participant)}`;
}

export function isOfflineAvailable(): boolean {
  return typeof indexedDB !== "undefined";
}
