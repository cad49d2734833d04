/**
 * The copy of a session in this browser (IndexedDB): edits made offline survive a reload.
 *
 * It belongs to one server, session and participant: another participant who logs in neither sees nor sends its edits.
 * Its format is y-indexeddb's: a list of updates under automatic keys, which tabs share.
 *
 *     opening ─→ kept ←──────────────────────────────┐ all is written anew
 *                 │ the browser, or an error, closes it │
 *                 └─→ failed ─→ a pause ─→ opens again ─┘     another tab discards it ─→ failed for good
 *
 * No error of IndexedDB reaches the document or its writers: the state becomes `failed`.
 */

import * as Y from "yjs";
import { Backlog, hasChanged } from "./backlog.ts";
import { integrate, type SessionDoc } from "./document.ts";
import { CosessionError } from "./errors.ts";

/** Whether this browser keeps a copy: `none` is not requested, `failed` can't be kept now. */
export type Copy = "none" | "opening" | "kept" | "failed";

/** IndexedDB may never answer (a known fault of browsers); after this time the page works without its copy. */
const PATIENCE_MS = 3_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 60_000;
const UPDATES = "updates";
/** The number of stored updates at which they are merged into one. */
const MANY_UPDATES = 500;
/** IndexedDB has no such limits. */
const NO_LIMITS = { frameBytes: Number.MAX_SAFE_INTEGER, structs: Number.MAX_SAFE_INTEGER };

export class OfflineCopy {
  status: Copy = "opening";
  /** Settles when the copy is in the document, or can't be loaded soon. */
  readonly loaded: Promise<void>;
  readonly #name: string;
  readonly #doc: SessionDoc;
  readonly #changed: () => void;
  readonly #backlog: Backlog;
  #database: IDBDatabase | null = null;
  #count = 0;
  #pause = FIRST_PAUSE_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isPlanned = false;
  /** Whether there was a copy that could be opened. */
  #wasOpened = false;
  /** Whether its content is in the document. */
  #isRead = false;
  #isOver = false;

  constructor(name: string, doc: SessionDoc, changed: () => void) {
    this.#name = name;
    this.#doc = doc;
    this.#changed = changed;
    this.#backlog = new Backlog(doc);
    this.#backlog.reset(new Map());
    doc.watch((transaction) => {
      if (this.#isOver || !hasChanged(transaction)) return;
      this.#backlog.note(transaction, transaction.origin === this);
      this.#plan();
    });
    this.loaded = within(PATIENCE_MS, this.#open()).catch(() => this.#fail(null, !isAvailable()));
  }

  /**
   * Removes this page's document from the copy, and closes the copy; another tab that has it open continues. Updates
   * that another tab has stored meanwhile, and this page hasn't read, stay, unless `isAll`: that tab may be closed.
   */
  async clear(isAll = false): Promise<void> {
    const opening = this.#database ?? opened(this.#name);
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#database = null;
    const known = isAll ? null : Y.encodeStateVector(this.#doc);
    await within(PATIENCE_MS, emptied(opening, known)).catch(() => {}); // an unopenable copy can't be read either
  }

  /** Closes the copy; edits made until now are still stored. */
  close(): void {
    if (this.#isOver) return;
    this.#write();
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#database?.close(); // IndexedDB completes open transactions
    this.#database = null;
  }

  /**
   * Removes the copy from this browser, for good.
   *
   * @throws CosessionError when there is one, and the browser doesn't remove it in time
   */
  async discard(): Promise<void> {
    await this.clear(true);
    try {
      await within(PATIENCE_MS, settled(indexedDB.deleteDatabase(this.#name)));
    } catch (error) {
      if (!this.#wasOpened) return; // there is none that could be opened
      const reason =
        "This browser doesn't remove its copy of the session; close its other tabs and try again.";
      throw new CosessionError("copy.kept", reason, { cause: error });
    }
  }

  async #open(): Promise<void> {
    const database = await opened(this.#name);
    if (this.#isOver || this.#database !== null) {
      database.close();
      return;
    }
    this.#wasOpened = true;
    database.onversionchange = ({ newVersion }) => {
      // Another tab discards the copy, and this page must not write it again; or creates it again.
      this.#fail(database, newVersion === null);
    };
    database.onclose = () => this.#fail(database);
    const isFirst = !this.#isRead;
    if (isFirst) await this.#load(database);
    if (this.#isOver || this.#database !== null) {
      database.close();
      return;
    }
    this.#database = database;
    if (!isFirst) this.#backlog.reset(new Map()); // writes in progress may be lost
    if (isFirst || this.#backlog.isEmpty) this.#become("kept");
    this.#plan();
  }

  async #load(database: IDBDatabase): Promise<void> {
    let updates: unknown[];
    try {
      updates = await settled(database.transaction([UPDATES]).objectStore(UPDATES).getAll());
    } catch (error) {
      database.close(); // it is opened and read again after a pause
      throw error;
    }
    if (this.#isOver) return;
    this.#isRead = true;
    this.#count = updates.length;
    if (updates.length === 0) return;
    integrate(this.#doc, merged(updates), this);
  }

  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    queueMicrotask(() => {
      this.#isPlanned = false;
      this.#write();
    });
  }

  #write(): void {
    const database = this.#database;
    if (database === null || this.#isOver || this.#backlog.isEmpty || this.#doc._transaction !== null) return;
    let update: Uint8Array;
    try {
      update = this.#backlog.take(NO_LIMITS);
    } catch {
      this.#fail(database, true); // something in the document can't be written, now or later
      return;
    }
    this.#count += 1;
    const isMany = this.#count >= MANY_UPDATES;
    if (isMany) this.#count = 1;
    const change = (updates: IDBObjectStore): void => {
      updates.add(update);
      if (isMany) mergeAll(updates);
    };
    stored(database, change).then(
      () => {
        this.#pause = FIRST_PAUSE_MS;
        if (database === this.#database) this.#become("kept");
      },
      () => this.#fail(database),
    );
  }

  /** Handles a copy that can't be kept: it is opened again after a pause, unless it failed for good. */
  #fail(database: IDBDatabase | null, isForGood = false): void {
    database?.close(); // also one that isn't in use yet: another tab may wait for its close
    if (this.#isOver || (database !== this.#database && !isForGood)) return;
    this.#database = null;
    this.#isOver = isForGood;
    this.#become("failed");
    clearTimeout(this.#timer);
    if (isForGood) return;
    this.#timer = setTimeout(() => {
      within(PATIENCE_MS, this.#open()).catch(() => this.#fail(null));
    }, this.#pause);
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE_MS);
  }

  #become(status: Copy): void {
    if (this.status === status) return;
    this.status = status;
    this.#changed();
  }
}

/** Opens the copy, and creates its store if there is none. */
async function opened(name: string): Promise<IDBDatabase> {
  let database = await openedAt(name);
  if (!database.objectStoreNames.contains(UPDATES)) {
    const { version } = database; // made by something else, empty
    database.close();
    database = await openedAt(name, version + 1);
  }
  return database;
}

function openedAt(name: string, version?: number): Promise<IDBDatabase> {
  const request = indexedDB.open(name, version);
  request.onupgradeneeded = () => {
    const { result } = request;
    if (!result.objectStoreNames.contains(UPDATES))
      result.createObjectStore(UPDATES, { autoIncrement: true });
    if (!result.objectStoreNames.contains("custom")) result.createObjectStore("custom"); // y-indexeddb's
  };
  return settled(request);
}

/** Merges all stored updates into one, also those of other tabs. */
function mergeAll(updates: IDBObjectStore): void {
  const all = updates.getAll();
  all.onsuccess = () => {
    const one = merged(all.result);
    updates.clear();
    updates.add(one);
  };
}

/** Returns the readable stored updates merged into one, without deleted content. */
function merged(updates: readonly unknown[]): Uint8Array {
  const doc = new Y.Doc();
  for (const update of updates) {
    try {
      Y.applyUpdate(doc, update as Uint8Array);
    } catch {
      // A damaged update loses only itself and the updates that depend on it.
    }
  }
  return Y.encodeStateAsUpdate(doc);
}

/** Changes the stored updates; settles when the change is stored. */
async function stored(database: IDBDatabase, change: (updates: IDBObjectStore) => void): Promise<void> {
  const transaction = database.transaction([UPDATES], "readwrite");
  change(transaction.objectStore(UPDATES));
  await new Promise<void>((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}

/** Empties the copy, except for changes beyond a state vector. */
async function emptied(opening: IDBDatabase | Promise<IDBDatabase>, known: Uint8Array | null): Promise<void> {
  const database = await opening;
  const change = (updates: IDBObjectStore): void => {
    if (known === null) {
      updates.clear();
      return;
    }
    const all = updates.getAll();
    all.onsuccess = () => {
      const rest = Y.diffUpdate(merged(all.result), known);
      updates.clear();
      if (Y.decodeUpdate(rest).structs.some((struct) => !(struct instanceof Y.Skip))) updates.add(rest);
    };
  };
  try {
    await stored(database, change);
  } finally {
    database.close();
  }
}

/** Returns the result of a request; a browser reports a failure by a throw, by an event or not at all. */
function settled<Result>(request: IDBRequest<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB failed without a reason."));
  });
}

function within<Result>(milliseconds: number, promise: Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("IndexedDB doesn't answer.")), milliseconds);
    promise.finally(() => clearTimeout(timer)).then(resolve, reject);
  });
}

function isAvailable(): boolean {
  try {
    return Boolean(globalThis.indexedDB);
  } catch {
    return false; // a frame without access to IndexedDB
  }
}

export function copyName(url: string, session: string, participant: string): string {
  return `cosession:${url}:${encodeURIComponent(session)}:${encodeURIComponent(participant)}`;
}
