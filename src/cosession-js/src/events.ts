/** Named events with typed arguments. An error of a listener is reported, and the other listeners are called. */

import { report } from "./errors.ts";

export type Off = () => void;

export class Events<Types extends object> {
  readonly #listeners = new Map<keyof Types, Set<(value: never) => void>>();

  /** Calls `listener` at each `event`, until the returned function is called. */
  on<Name extends keyof Types>(event: Name, listener: (value: Types[Name]) => void): Off {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners);
    const own = (value: Types[Name]): void => listener(value);
    listeners.add(own);
    return () => {
      listeners.delete(own);
    };
  }

  emit<Name extends keyof Types>(event: Name, value: Types[Name]): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])] as ((value: Types[Name]) => void)[]) {
      try {
        listener(value);
      } catch (error) {
        report(error);
      }
    }
  }

  clear(): void {
    this.#listeners.clear();
  }
}
