/** Named events with typed arguments. An error of a listener is reported, and the other listeners are called. */

import { report } from "./errors.ts";

export type Off = () => void;

export class Events<Map extends Record<string, unknown>> {
  readonly #listeners = new globalThis.Map<keyof Map, Set<(value: never) => void>>();

  /** Calls `listener` at each `event`, until the returned function is called. */
  on<Name extends keyof Map>(event: Name, listener: (value: Map[Name]) => void): Off {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners);
    const own = (value: Map[Name]): void => listener(value);
    listeners.add(own);
    return () => {
      listeners.delete(own);
    };
  }

  emit<Name extends keyof Map>(event: Name, value: Map[Name]): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])] as ((value: Map[Name]) => void)[]) {
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
