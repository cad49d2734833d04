/** Shared texts: edited by several at once, character by character. */

import * as Y from "yjs";
import { rewrite } from "./diff.ts";
import { InvalidValue } from "./errors.ts";
import { checkedText, isObject, type JsonObject } from "./json.ts";
import { transact } from "./transact.ts";

interface Of {
  checkOpen(): void;
}

/** A place in a shared text that moves with the characters around it; its JSON can be stored, and shown to others. */
export class Position {
  readonly #relative: Y.RelativePosition;

  constructor(relative: Y.RelativePosition) {
    this.#relative = relative;
  }

  /** Reads a position from its JSON. */
  static from(json: JsonObject): Position {
    if (!isObject(json)) throw new InvalidValue("A position is read from the object that `toJSON` gave.");
    return new Position(Y.createRelativePositionFromJSON(json));
  }

  /** Returns the index in the text of a document; null when the text has no such place any more. @internal */
  in(text: Y.Text): number | null {
    if (text.doc === null) return null;
    const found = Y.createAbsolutePositionFromRelativePosition(this.#relative, text.doc);
    return found === null || found.type !== text ? null : found.index;
  }

  toJSON(): JsonObject {
    return Y.relativePositionToJSON(this.#relative) as JsonObject;
  }
}

/** A shared text. Indexes count UTF-16 units, as in strings of JavaScript. */
export class SharedText {
  readonly #of: Of;
  readonly #find: () => Y.Text;

  /** `find` returns the text in the current document. */
  constructor(of: Of, find: () => Y.Text) {
    this.#of = of;
    this.#find = find;
  }

  /** The Yjs type, for editors; bind it again at the event `doc`. */
  get y(): Y.Text {
    return this.#find();
  }

  get length(): number {
    return this.y.length;
  }

  toString(): string {
    return this.y.toString();
  }

  insert(index: number, text: string): void {
    this.replace(index, index, text);
  }

  /** Removes the characters from `start` up to `end`, exclusive. */
  delete(start: number, end: number): void {
    this.replace(start, end, "");
  }

  /** Replaces the characters from `start` up to `end`, exclusive. */
  replace(start: number, end: number, text: string): void {
    this.#of.checkOpen();
    const { y } = this;
    const written = checkedText(text);
    if (!(Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start <= end && end <= y.length))
      throw new InvalidValue(`${start} to ${end} is no range of a text of ${y.length} characters.`);
    transact(y.doc, () => {
      if (end > start) y.delete(start, end - start);
      if (written !== "") y.insert(start, written);
    });
  }

  append(text: string): void {
    this.insert(this.length, text);
  }

  /** Makes the text `text`, and changes only what differs, so that concurrent edits elsewhere in it stay. */
  set(text: string): void {
    this.#of.checkOpen();
    const { y } = this;
    const written = checkedText(text);
    if (written !== y.toString()) transact(y.doc, () => rewrite([y], written));
  }

  /** Returns a position that stays with the character on the given side of an index. */
  position(index: number, sticks: "left" | "right" = "left"): Position {
    const { y } = this;
    if (!(Number.isInteger(index) && index >= 0 && index <= y.length))
      throw new InvalidValue(`${index} is no place in a text of ${y.length} characters.`);
    return new Position(Y.createRelativePositionFromTypeIndex(y, index, sticks === "left" ? -1 : 0));
  }

  /** Returns the index of a position; null when this text has no such place. */
  indexOf(position: Position): number | null {
    return position.in(this.y);
  }
}

/** A shared rich text, for editors: Tiptap and others bind `y`. */
export class SharedXml {
  readonly #find: () => Y.XmlFragment;

  constructor(find: () => Y.XmlFragment) {
    this.#find = find;
  }

  /** The Yjs type, for editors; bind it again at the event `doc`. */
  get y(): Y.XmlFragment {
    return this.#find();
  }

  toString(): string {
    return this.y.toString();
  }
}
