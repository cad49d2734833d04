/**
 * The application's shared state: a JSON-like tree in nested Maps, read and written by path.
 *
 * Writes to different keys merge; of two concurrent writes to one key, one wins. So write leaves, not trees, and note
 * one rule of Yjs: when two clients create the same Map at the same time, one of the two is lost with its content. If
 * many clients may start to write below a new name at once, use flat keys, or let one client create the Map.
 */

import * as Y from "yjs";
import type { Context } from "./context.ts";
import { InvalidValue } from "./errors.ts";
import { checkAllowed } from "./grants.ts";
import { isEqual, type Json } from "./json.ts";
import { type JsonPatch, patch, touchedBy } from "./json_patch.ts";
import { checkLeaves } from "./limits.ts";
import type { AnyState, ValueAt } from "./register.ts";
import { SharedText } from "./text.ts";
import { transact } from "./transact.ts";
import { deleteAt, keysOf, type Path, readAt, writeAt, writeTypeAt } from "./tree.ts";
import { iterate } from "./watching.ts";

/** A change of the value at a path; undefined is no value. */
export interface StateChange<Value = Json> {
  readonly path: Path;
  readonly before: Value | undefined;
  readonly after: Value | undefined;
}

export class State<Shape = AnyState> {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  get y(): Y.Map<unknown> {
    return this.#context.doc.getMap("state");
  }

  /** The whole state; the same object as before when nothing in it changed. */
  get value(): Shape {
    return this.#context.snapshots.of(this.y) as Shape;
  }

  /** Returns the value at `path`, the same object as before when nothing in it changed; undefined without one. */
  get<P extends string>(path: P): ValueAt<Shape, P> | undefined;
  get<Value = Json>(path: readonly (string | number)[]): Value | undefined;
  get(path: Path): unknown {
    return this.#context.snapshots.of(readAt(this.y, path));
  }

  /** Writes `value`; objects become Maps and lists become Arrays. Missing Maps on the path are made. */
  set<P extends string>(path: P, value: ValueAt<Shape, P>): void;
  set(path: readonly (string | number)[], value: Json): void;
  set(path: Path, value: unknown): void {
    this.#check(keysOf(path));
    writeAt(this.y, path, value as Json, this.#context.limits);
  }

  /** Removes the value at `path`; returns whether there was one. */
  delete(path: Path): boolean {
    this.#check(keysOf(path));
    return deleteAt(this.y, path);
  }

  /**
   * Applies a JSON Patch (RFC 6902), whole or not at all.
   *
   * @throws InvalidValue when an operation has no such place
   * @throws Conflict when a `test` fails
   */
  patch(operations: readonly JsonPatch[]): void {
    this.#context.checkOpen();
    const checkedOperations = touchedBy(operations);
    for (const keys of checkedOperations) this.#check(keys);
    const { limits } = this.#context;
    patch(this.y, operations, (value) => checkLeaves(value, limits, "The value"));
  }

  /** Returns the shared text at `path`; a missing one is made, and a plain string there becomes one. */
  text(path: Path): SharedText {
    const find = (): Y.Text => {
      const known = readAt(this.y, path);
      if (known instanceof Y.Text) return known;
      if (known !== undefined && known !== null && typeof known !== "string")
        throw new InvalidValue(`\`${keysOf(path).join(".")}\` holds no text; delete it first.`);
      this.#check(keysOf(path));
      const made = new Y.Text(known ?? "");
      transact(this.y.doc, () => writeTypeAt(this.y, path, made));
      return made;
    };
    find();
    return new SharedText(this.#context, find);
  }

  /** Iterates over the changes of the value at `path`; a slow reader gets one for several, and equal JSON is no change. */
  watch<P extends string>(path: P): AsyncIterable<StateChange<ValueAt<Shape, P>>>;
  watch<Value = Json>(path: readonly (string | number)[]): AsyncIterable<StateChange<Value>>;
  watch(path: Path): AsyncIterable<StateChange<unknown>> {
    keysOf(path);
    const read = (): unknown => this.#context.snapshots.of(readAt(this.y, path));
    return iterate<StateChange<unknown>>({
      merge: (unread, next) => ({ ...next, before: unread.before }),
      session: this.#context,
      subscribe: (next) => {
        let before = read();
        return this.#context.on("state", () => {
          const after = read();
          if (isEqual(after, before)) return;
          next(Object.freeze({ path, before, after }));
          before = after;
        });
      },
    });
  }

  #check(keys: readonly string[]): void {
    this.#context.checkOpen();
    checkAllowed(this.#context.identity, "This change of the state", `state:${keys.join("/")}`);
  }
}
