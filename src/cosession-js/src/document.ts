/**
 * The Yjs document and the awareness of a session, protected from errors of listeners.
 *
 * Yjs runs a transaction in steps, and propagates an error of a listener: one in `beforeTransaction` leaves the
 * transaction open for ever; one in `afterTransactionCleanup` or `update`, or while an update is encoded for such a
 * listener, leaves it in the queue of transactions, and from then on no event is called any more. Here an error of a
 * listener is reported and the next one is called; steps that are left over all the same run after the task.
 *
 * Invariant: watchers are called with each transaction that began, once, before any listener or at the end of the
 * task; until then the document isn't settled.
 */

import { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import { report } from "./errors.ts";

/** The most queued transactions that Yjs runs at once: it runs them recursively, and more could exceed the stack. */
const MOST_AT_ONCE = 200;

export class SessionDoc extends Y.Doc {
  readonly #watchers = new Set<(transaction: Y.Transaction) => void>();
  readonly #open = new Set<Y.Transaction>();
  #isPlanned = false;

  /** Whether the watchers were called with every transaction. */
  get isSettled(): boolean {
    return this.#open.size === 0;
  }

  /** Calls `watcher` with each transaction, when all its changes are known. */
  watch(watcher: (transaction: Y.Transaction) => void): void {
    this.#watchers.add(watcher);
  }

  override emit(...[name, args]: Parameters<Y.Doc["emit"]>): void {
    const [transaction] = args as unknown[];
    if (name === "beforeTransaction") this.#begun(transaction as Y.Transaction);
    callAll(this._observers.get(name), args);
    if (name === "beforeObserverCalls") this.#ended(transaction as Y.Transaction);
  }

  #begun(transaction: Y.Transaction): void {
    this.#open.add(transaction);
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    queueMicrotask(() => this.#settle());
  }

  #ended(transaction: Y.Transaction): void {
    if (!this.#open.delete(transaction)) return;
    callAll(this.#watchers, [transaction]);
  }

  /** Runs the steps that Yjs has left: the task has ended, and with it every transaction. */
  #settle(): void {
    this.#isPlanned = false;
    while (this._transaction !== null || this._transactionCleanups.length > 0) {
      const left = this._transactionCleanups.filter((each) => this.#open.has(each));
      this._transaction = null;
      this._transactionCleanups = [];
      if (left.length === 0) break;
      this.#carryOut(left);
    }
    for (const transaction of this.#open) {
      transaction.afterState = Y.decodeStateVector(Y.encodeStateVector(this));
      this.#ended(transaction);
    }
  }

  #carryOut(left: Y.Transaction[]): void {
    const [now, later] = [left.slice(0, MOST_AT_ONCE), left.slice(MOST_AT_ONCE)];
    try {
      // Yjs runs the whole queue when the first transaction in it ends.
      this.transact(() => this._transactionCleanups.push(...now), "cosession");
    } catch (error) {
      report(error);
    }
    for (const first of now.slice(0, 1)) this.#ended(first); // Yjs has begun with it, if with nothing else
    this._transactionCleanups.push(...later);
  }
}

export class SessionAwareness extends Awareness {
  override emit(name: never, args: unknown[]): void {
    callAll(this._observers.get(name), args);
  }
}

/**
 * Applies an update to a document.
 *
 * @throws the error of Yjs for an invalid update; the document must not be used afterwards
 */
export function integrate(doc: Y.Doc, update: Uint8Array, origin: unknown): void {
  let failure: { readonly error: unknown } | undefined;
  const read = (): void => {
    try {
      Y.applyUpdate(doc, update, origin);
    } catch (error) {
      failure = { error };
    }
  };
  try {
    Y.transact(doc, read, origin, false);
  } catch (error) {
    report(error); // of an observer, or of encoding the change for a listener
  }
  if (failure !== undefined) throw (failure as { readonly error: unknown }).error;
}

// biome-ignore lint/suspicious/noExplicitAny: listeners of any events
function callAll(listeners: Iterable<any> | undefined, args: readonly unknown[]): void {
  for (const listener of [...(listeners ?? [])]) {
    try {
      listener(...args);
    } catch (error) {
      report(error);
    }
  }
}
