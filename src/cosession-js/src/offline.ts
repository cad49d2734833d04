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

  /** Empties the copy, and lets go of it; another tab that has it open goes on. */
  async clear(): Promise<void> {
    await this.close();
    const database = await opened(this.#persistence.name).catch(() => null);
    if (database === null) return; // there is none
    const emptying = database.transaction(["updates"], "readwrite");
    emptying.objectStore("updates").clear();
    await new Promise((resolve) => {
      emptying.oncomplete = emptying.onabort = resolve;
    });
    database.close();
  }

  async close(): Promise<void> {
    await this.#persistence.destroy().catch(() => {}); // what couldn't be opened needs no closing
  }

  /** Removes the copy from this browser, for good. */
  async discard(): Promise<void> {
    await this.#persistence.clearData();
  }
}

function opened(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export function copyName(url: string, session: string, participant: string): string {
  return `cosession:${url}:${encodeURIComponent(session)}:${encodeURIComponent(participant)}`;
}

export function isOfflineAvailable(): boolean {
  return typeof indexedDB !== "undefined";
}
