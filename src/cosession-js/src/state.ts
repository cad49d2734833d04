/**
 * The application's shared state: a JSON-like tree in nested Maps, read and written by path.
 *
 * Writes to different keys merge; of two concurrent writes to one key, one wins. So write leaves, not trees, and note
 * one rule of Yjs: when two clients create the same Map at the same time, one of the two is lost with its content. If
 * many clients may start to write below a new name at once, use flat keys, or let one client create the Map.
 */

import type * as Y from "yjs";
import type { Json } from "./json.ts";
import type { Limits } from "./limits.ts";
import type { Snapshots } from "./snapshots.ts";
import { deleteAt, type Path, readAt, writeAt } from "./tree.ts";

interface Of {
  readonly doc: Y.Doc;
  readonly limits: Limits;
}

export class State {
  readonly #of: Of;
  readonly #snapshots: Snapshots;
  readonly #subscribe: (listener: () => void) => () => void;
  readonly #checkOpen: () => void;

  constructor(
    of: Of,
    snapshots: Snapshots,
    subscribe: (listener: () => void) => () => void,
    checkOpen: () => void,
  ) {
    this.#of = of;
    this.#snapshots = snapshots;
    this.#subscribe = subscribe;
    this.#checkOpen = checkOpen;
  }

  get root(): Y.Map<unknown> {
    return this.#of.doc.getMap("state");
  }

  /** Returns the value at `path`, the same object as before when nothing in it changed; undefined without one. */
  get<Value = Json>(path: Path): Value | undefined {
    return this.#snapshots.of(readAt(this.root, path)) as Value | undefined;
  }

  /** Writes `value`; objects become Maps and lists become Arrays. Missing Maps on the path are made. */
  set(path: Path, value: Json): void {
    this.#checkOpen();
    writeAt(this.root, path, value, this.#of.limits);
  }

  /** Removes the value at `path`; does nothing when there is none. */
  delete(path: Path): void {
    this.#checkOpen();
    deleteAt(this.root, path);
  }

  toJSON(): Readonly<Record<string, Json>> {
    return this.#snapshots.of(this.root) as Readonly<Record<string, Json>>;
  }

  /** Calls `listener` after each change of the state, until the returned function is called. */
  subscribe(listener: () => void): () => void {
    return this.#subscribe(listener);
  }
}
