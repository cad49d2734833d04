/**
 * Messages: reading them as immutable snapshots, and writing messages of this page.
 *
 * The JSON form of a message is an AI SDK `UIMessage`. A message and its parts are built whole and then appended in one
 * transaction, so no client ever sees half of a message, and no container is made by two clients.
 */

import * as Y from "yjs";
import { rewrite } from "./diff.ts";
import { Gone, InvalidValue, NotFound } from "./errors.ts";
import { checkedId, checkedObject, checkedText, isObject, type Json, type JsonObject } from "./json.ts";
import { checkRecord, checkValue, type Limits } from "./limits.ts";
import { checkPart, isGrowingText, isTool } from "./parts.ts";
import { listOf, number, object, oneOf, type Reader, string } from "./shapes.ts";
import { shared } from "./shared.ts";
import type { Snapshots } from "./snapshots.ts";
import { transact } from "./transact.ts";

export type Role = "user" | "assistant" | "system";

export interface Part {
  readonly type: string;
  readonly text?: string;
  readonly state?: string;
  readonly [field: string]: unknown;
}

export interface Metadata {
  readonly author?: string;
  readonly created_at?: string;
  readonly status?: "streaming" | "complete" | "cancelled" | "error";
  readonly run?: string;
  readonly parent?: string;
  readonly edited_at?: string;
  /** The last editor, unverified: as that client wrote it. */
  readonly edited_by?: string;
  /** The agents that are asked; for each of them it is a prompt. */
  readonly to?: readonly string[];
  readonly deleted?: boolean;
  readonly [field: string]: unknown;
}

export interface Message {
  readonly id: string;
  readonly role: Role;
  readonly parts: readonly Part[];
  /** All text parts, joined. */
  readonly text: string;
  readonly metadata: Metadata;
  /** The author: as the server verified it, or, until then, as the message says. */
  readonly author?: string;
  /** Whether the server has verified `author`. */
  readonly verified: boolean;
  /** The facts that the server verified, once it has received the message. */
  readonly stamp?: {
    readonly by?: string;
    readonly at?: string;
    readonly seq?: number;
    /** It is never answered: the agent was busy, or it was cancelled. */
    readonly refused?: { readonly code: "busy" | "cancelled"; readonly by?: string; readonly at?: string };
  };
}

export interface NewMessage {
  readonly id: string;
  readonly role: Role;
  readonly parts: readonly JsonObject[];
  readonly metadata: JsonObject;
}

interface Of {
  readonly doc: Y.Doc;
  readonly limits: Limits;
}

const ROLES: ReadonlySet<unknown> = new Set(["user", "assistant", "system"]);

const NO_PARTS: readonly Part[] = Object.freeze([]);
const NO_METADATA: Metadata = Object.freeze({});

const METADATA = object({
  author: string,
  created_at: string,
  status: oneOf("streaming", "complete", "cancelled", "error"),
  run: string,
  parent: string,
  edited_at: string,
  edited_by: string,
  to: listOf(string),
  deleted: Boolean, // any truthy value, as in `edit`
});

/** Clients may have written anything: an object without an id or a role can't be shown as a message. */
const MESSAGE: Reader = object(
  {
    id: string,
    role: oneOf("user", "assistant", "system"),
    parts: listOf(object({ type: string, text: string, state: string }, "type")),
    metadata: METADATA,
    stamp: object({
      by: string,
      at: string,
      seq: number,
      refused: object({ code: oneOf("busy", "cancelled"), by: string, at: string }, "code"),
    }),
  },
  "id",
  "role",
);

export class Messages {
  readonly #of: Of;
  readonly #snapshots: Snapshots;
  readonly #views = new WeakMap<object, Message | readonly Message[]>();

  constructor(of: Of, snapshots: Snapshots) {
    this.#of = of;
    this.#snapshots = snapshots;
  }

  get root(): Y.Array<Y.Map<unknown>> {
    return this.#of.doc.getArray("messages");
  }

  /** Returns every message, in order; unchanged ones are the same objects as before, and so is an unchanged list. */
  list(): readonly Message[] {
    const elements = this.#snapshots.of(this.root) as readonly unknown[];
    const known = this.#views.get(elements) as readonly Message[] | undefined;
    if (known) return known;
    const list = Object.freeze(elements.flatMap((json) => this.#view(json) ?? []));
    this.#views.set(elements, list);
    return list;
  }

  /** Adds a message; an invalid one throws before anything is written. */
  append(given: NewMessage): void {
    const id = checkedId(given.id, "The id of a message");
    const { role } = given;
    if (!ROLES.has(role))
      throw new InvalidValue(`The role of a message is user, assistant or system, not ${role}.`);
    const parts = Array.from(given.parts, (part) => checkedObject(part, "A part of a message"));
    const metadata = checkedObject(given.metadata, "The metadata of a message");
    if (parts.length === 0 && role !== "assistant")
      throw new InvalidValue(`A message of a ${role} needs a part.`);
    for (const part of parts) checkPart(part);
    checkRecord({ id, role, parts, metadata }, this.#of.limits, "The message");
    for (const value of [...parts.flatMap(plainValues), ...Object.values(metadata)])
      checkValue(value, this.#of.limits, "The message");
    transact(this.#of.doc, () => this.#push(id, role, parts, metadata));
  }

  #push(id: string, role: Role, parts: readonly JsonObject[], metadata: JsonObject): void {
    const message = new Y.Map<unknown>(Object.entries({ id, role }));
    message.set("metadata", new Y.Map(Object.entries(metadata)));
    message.set("parts", Y.Array.from(parts.map(sharedPart))); // last: a client that receives half must see that
    this.root.push([message]);
  }

  /** Changes the message's text parts so that together they are `text`. */
  edit(id: string, text: string, at: string, by: string): void {
    const wanted = checkedText(text, "The text of a message");
    checkRecord(wanted, this.#of.limits, "The text");
    const message = this.#find(id);
    const metadata = metadataOf(message);
    if (metadata.get("deleted"))
      throw new Gone(`The message ${id} is deleted, so it can't be edited.`, { kind: "message", id });
    const parts = partsOf(message);
    transact(this.#of.doc, () => {
      const texts = textsOf(parts);
      if (texts.length > 0) rewrite(texts, wanted);
      else parts.push([sharedPart({ type: "text", text: wanted })]);
      metadata.set("edited_at", at);
      metadata.set("edited_by", by);
    });
  }

  /** Marks the message deleted and empties it; its place in the list stays. */
  remove(id: string, at: string): void {
    const message = this.#find(id);
    const parts = partsOf(message);
    const metadata = metadataOf(message);
    transact(this.#of.doc, () => {
      metadata.set("deleted", true);
      metadata.set("edited_at", at);
      if (parts.length > 0) parts.delete(0, parts.length);
    });
  }

  #find(id: string): Y.Map<unknown> {
    for (const message of this.root) {
      if (message instanceof Y.Map && message.get("id") === id) return message;
    }
    throw new NotFound(`The session has no message ${id}.`, { kind: "message", id });
  }

  #view(json: unknown): Message | undefined {
    if (!isObject(json)) return undefined;
    const known = this.#views.get(json) as Message | undefined;
    if (known) return known;
    const message = MESSAGE(json) as MessageJson | undefined;
    if (message === undefined) return undefined;
    const parts = message.parts ?? NO_PARTS;
    const text = parts.map((part) => (part.type === "text" ? (part.text ?? "") : "")).join("");
    const metadata = message.metadata ?? NO_METADATA;
    const author = message.stamp?.by ?? metadata.author;
    const view = Object.freeze({
      ...message,
      parts,
      text,
      metadata,
      ...(author === undefined ? {} : { author }),
      verified: message.stamp?.by !== undefined,
    });
    this.#views.set(json, view);
    return view;
  }
}

/** Returns a text, or parts as they are, as the parts of a message. */
export function partsFrom(content: string | readonly JsonObject[]): readonly JsonObject[] {
  if (typeof content === "string") return [{ type: "text", text: content }];
  if (Array.isArray(content)) return content;
  throw new InvalidValue("The content of a message is a text, or a list of parts.");
}

type MessageJson = Pick<Message, "id" | "role"> & Partial<Message>;

function sharedPart(part: JsonObject): Y.Map<unknown> {
  const type = String(part.type);
  const isText = isGrowingText(type);
  const isCall = isTool(type);
  const fields: JsonObject = isText ? { text: "", state: "done", ...part } : part;
  return new Y.Map(
    Object.entries(fields).map(([key, value]) => {
      if ((isText && key === "text") || (isCall && key === "rawInput")) {
        return [key, new Y.Text(String(value))];
      }
      return [key, isCall && key === "input" ? shared(value) : value];
    }),
  );
}

/** Returns the fields of a part that are written as single values: neither texts nor shared types. */
function plainValues(part: JsonObject): Json[] {
  const type = String(part.type);
  const shared = isTool(type) ? ["rawInput", "input"] : isGrowingText(type) ? ["text"] : [];
  return Object.entries(part).flatMap(([key, value]) => (shared.includes(key) ? [] : [value]));
}

/** Returns the texts to edit; a plain string, which a foreign client may have written, is replaced by a text. */
function textsOf(parts: Y.Array<Y.Map<unknown>>): Y.Text[] {
  return parts.toArray().flatMap((part) => {
    if (!(part instanceof Y.Map) || part.get("type") !== "text") return [];
    const content = part.get("text");
    if (content instanceof Y.Text) return [content];
    if (typeof content !== "string") return [];
    return [part.set("text", new Y.Text(content.toWellFormed()))];
  });
}

function partsOf(message: Y.Map<unknown>): Y.Array<Y.Map<unknown>> {
  const parts = message.get("parts");
  if (parts instanceof Y.Array) return parts;
  throw new InvalidValue(`The message ${message.get("id")} has no parts: it wasn't written as a message.`);
}

function metadataOf(message: Y.Map<unknown>): Y.Map<Json> {
  const metadata = message.get("metadata");
  if (metadata instanceof Y.Map) return metadata;
  throw new InvalidValue(`The message ${message.get("id")} has no metadata: it wasn't written as a message.`);
}
