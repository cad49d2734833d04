/**
 * Messages: reading them as immutable snapshots, and writing messages of this page.
 *
 * The JSON form of a message is an AI SDK `UIMessage`. A message and its parts are built whole and then appended in one
 * transaction, so no client ever sees half of a message, and no container is made by two clients.
 */

import * as Y from "yjs";
import type { Context } from "./context.ts";
import { rewrite } from "./diff.ts";
import { Conflict, Gone, InvalidValue, NotFound } from "./errors.ts";
import { type Group, Index, idOf, type Target } from "./group.ts";
import {
  checkedId,
  checkedObject,
  checkedText,
  isEqual,
  isObject,
  type Json,
  type JsonObject,
} from "./json.ts";
import { checkRecord, checkValue } from "./limits.ts";
import { checkPart, isGrowingText, isTool, type Part } from "./parts.ts";
import type { AnyMetadata } from "./register.ts";
import { listOf, number, object, oneOf, type Reader, string } from "./shapes.ts";
import { shared } from "./shared.ts";
import { now } from "./time.ts";
import { transact } from "./transact.ts";

export type Role = "user" | "assistant" | "system";
export type MessageStatus = "streaming" | "complete" | "cancelled" | "error";

/** A snapshot of a message: a `UIMessage` of the AI SDK, with the session's facts beside it. */
export interface Message<Metadata = AnyMetadata> {
  readonly id: string;
  readonly role: Role;
  readonly parts: Part[];
  /** The application's metadata. */
  readonly metadata: Metadata;
  /** All text parts, joined. */
  readonly text: string;
  /** The author: as the server verified it, or, until then, as the message says. */
  readonly author: string | null;
  /** Whether the server has verified `author`. */
  readonly verified: boolean;
  readonly status: MessageStatus;
  /** The time at which it was written, according to its author. */
  readonly createdAt: string | null;
  /** The run that wrote it. */
  readonly run: string | null;
  /** The message that it answers or branches from. */
  readonly parent: string | null;
  /** The agents that are asked; for each of them it is a prompt. */
  readonly to: readonly string[];
  readonly editedAt: string | null;
  /** The last editor, unverified: as that client wrote it. */
  readonly editedBy: string | null;
  /** Whether it was deleted; its parts are gone then. */
  readonly deleted: boolean;
  /** Why it is never answered: the agent was `busy`, or it was `cancelled`; null otherwise. */
  readonly refused: { readonly code: string; readonly by: string | null; readonly at: string } | null;
  /** The number that the server gave it, from 1; null before the server has it. */
  readonly seq: number | null;
}

/** A message to write. @internal */
export interface NewMessage {
  readonly id: string;
  /** Whether the id was made for it, so that no message has it. */
  readonly isNew: boolean;
  readonly role: Role;
  readonly parts: readonly JsonObject[];
  /** The application's metadata. */
  readonly metadata: unknown;
  /** The session's metadata. */
  readonly own: JsonObject;
}

const ROLES: ReadonlySet<unknown> = new Set(["user", "assistant", "system"]);

const NO_METADATA: JsonObject = Object.freeze({});

/** The metadata that the session writes; every other key is the application's. */
const OWN_METADATA: ReadonlySet<string> = new Set([
  "author",
  "created_at",
  "status",
  "run",
  "parent",
  "edited_at",
  "edited_by",
  "to",
  "deleted",
]);

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

/** The messages, in order. */
export class Messages<Metadata = AnyMetadata> implements Group<Message<Metadata>> {
  readonly #context: Context;
  readonly #views = new WeakMap<object, Message<Metadata> | readonly Message<Metadata>[]>();
  readonly #metadata = new WeakMap<object, Metadata>();
  readonly #index = new Index<Message<Metadata>>();
  readonly #nameOf: (participant: string) => string;

  /** `nameOf` returns the name of a participant. */
  constructor(context: Context, nameOf: (participant: string) => string) {
    this.#context = context;
    this.#nameOf = nameOf;
  }

  get y(): Y.Array<Y.Map<unknown>> {
    return this.#context.doc.getArray("messages");
  }

  /** Every message; unchanged ones are the same objects as before, and so is an unchanged list. */
  get all(): readonly Message<Metadata>[] {
    const elements = this.#context.snapshots.of(this.y) as readonly unknown[];
    const known = this.#views.get(elements) as readonly Message<Metadata>[] | undefined;
    if (known) return known;
    const list = Object.freeze(elements.flatMap((json) => this.#view(json) ?? []));
    this.#views.set(elements, list);
    return list;
  }

  get(id: string): Message<Metadata> | undefined {
    return this.#index.get(this.all, id);
  }

  [Symbol.iterator](): Iterator<Message<Metadata>> {
    return this.all[Symbol.iterator]();
  }

  /**
   * Changes a message's text, as little as possible, so that concurrent edits merge.
   *
   * @throws NotFound when there is no such message
   * @throws Gone when it was deleted
   */
  edit(target: Target, text: string): Message<Metadata> {
    this.#context.checkOpen();
    const id = idOf(target, "The message");
    const message = this.#edit(id, text);
    return this.#view(this.#context.snapshots.of(message)) as Message<Metadata>;
  }

  /**
   * Deletes the content of a message; an empty message marked `deleted` stays in its place.
   *
   * @throws NotFound when there is no such message
   */
  remove(target: Target): void {
    this.#context.checkOpen();
    this.#remove(idOf(target, "The message"));
  }

  /**
   * Returns the messages that a model is told, oldest first: without deleted, empty, refused and streaming ones, and
   * without the tasks that agents give each other. The last one, if it is `until`, has the role `user`.
   *
   * @param options - `attributed`: whether each text begins with its author's name and a colon, but for this
   *   participant's answers; `until`: the id of the last message, by default the last of all
   * @throws NotFound when the session has no message `until`
   */
  toPrompt({
    attributed = false,
    until,
  }: {
    attributed?: boolean;
    until?: string;
  } = {}): Message<Metadata>[] {
    const { all } = this;
    const end = until === undefined ? all.length : all.findIndex(({ id }) => id === until);
    if (end < 0)
      throw new NotFound(`The session has no message ${until}.`, { kind: "message", id: until ?? "" });
    const told = all.slice(0, end).filter(isTold);
    const last = until === undefined ? undefined : (all[end] as Message<Metadata>);
    if (last !== undefined) told.push(last.role === "user" ? last : Object.freeze({ ...last, role: "user" }));
    return attributed ? told.map((message) => this.#attributed(message)) : told;
  }

  #attributed(message: Message<Metadata>): Message<Metadata> {
    const { author, parts, role } = message;
    const isOwn = role === "assistant" && author === this.#context.identity.id;
    if (author === null || isOwn) return message;
    const name = this.#nameOf(author);
    const first = parts.findIndex((part) => part.type === "text" || part.type === "reasoning");
    const named: Part[] =
      parts[first]?.type === "text"
        ? parts.map((part, index) =>
            index === first && part.type === "text" ? { ...part, text: `${name}: ${part.text}` } : part,
          )
        : [{ type: "text", text: `${name}:`, state: "done" }, ...parts];
    return Object.freeze({ ...message, parts: named, text: textOf(named) });
  }

  /** Adds a message and returns it; an invalid one throws before anything is written. @internal */
  append(given: NewMessage): Message<Metadata> {
    const id = checkedId(given.id, "The id of a message");
    const { limits, snapshots } = this.#context;
    const { role } = given;
    if (!ROLES.has(role))
      throw new InvalidValue(`The role of a message is user, assistant or system, not ${role}.`);
    const parts = Array.from(given.parts, (part) => checkedObject(part, "A part of a message"));
    const own = checkedObject(given.own, "The metadata of a message");
    const metadata = checkedObject(given.metadata, "The metadata of a message");
    const taken = Object.keys(metadata).find((key) => OWN_METADATA.has(key));
    if (taken !== undefined)
      throw new InvalidValue(`\`${taken}\` in metadata is written by the session; use another name.`, {
        path: taken,
      });
    if (parts.length === 0 && role !== "assistant")
      throw new InvalidValue(`A message of a ${role} needs a part.`);
    for (const part of parts) checkPart(part);
    const all = { ...metadata, ...own };
    checkRecord({ id, role, parts, metadata: all }, limits, "The message");
    for (const value of [...parts.flatMap(plainValues), ...Object.values(all)])
      checkValue(value, limits, "The message");
    const written = given.isNew ? undefined : this.#same(id, role, parts);
    if (written !== undefined) return written;
    const message = transact(this.#context.doc, () => this.#push(id, role, parts, all));
    return this.#view(snapshots.of(message)) as Message<Metadata>;
  }

  /** Returns the message that has an id, if it says the same; a message that was repeated is written once. */
  #same(id: string, role: Role, parts: readonly JsonObject[]): Message<Metadata> | undefined {
    const known = this.get(id);
    if (known === undefined) return undefined;
    const wanted = parts.map((part) =>
      isGrowingText(String(part.type)) ? { text: "", state: "done", ...part } : part,
    );
    const isSame = known.role === role && isEqual(known.parts, wanted);
    if (isSame) return known;
    throw new Conflict(`The session has another message with the id ${id}.`, { code: "message.exists" });
  }

  #push(id: string, role: Role, parts: readonly JsonObject[], metadata: JsonObject): Y.Map<unknown> {
    const message = new Y.Map<unknown>(Object.entries({ id, role }));
    message.set("metadata", new Y.Map(Object.entries(metadata)));
    message.set("parts", Y.Array.from(parts.map(sharedPart))); // last: a client that receives half must see that
    this.y.push([message]);
    return message;
  }

  /** Changes the message's text parts so that together they are `text`. */
  #edit(id: string, text: string): Y.Map<unknown> {
    const { doc, identity, limits } = this.#context;
    const wanted = checkedText(text, "The text of a message");
    checkRecord(wanted, limits, "The text");
    const message = this.#find(id);
    const metadata = metadataOf(message);
    if (metadata.get("deleted"))
      throw new Gone(`The message ${id} is deleted, so it can't be edited.`, { kind: "message", id });
    const parts = partsOf(message);
    transact(doc, () => {
      const texts = textsOf(parts);
      if (texts.length > 0) rewrite(texts, wanted);
      else parts.push([sharedPart({ type: "text", text: wanted })]);
      metadata.set("edited_at", now());
      metadata.set("edited_by", identity.id);
    });
    return message;
  }

  #remove(id: string): void {
    const message = this.#find(id);
    const parts = partsOf(message);
    const metadata = metadataOf(message);
    transact(this.#context.doc, () => {
      metadata.set("deleted", true);
      metadata.set("edited_at", now());
      if (parts.length > 0) parts.delete(0, parts.length);
    });
  }

  #find(id: string): Y.Map<unknown> {
    for (const message of this.y) {
      if (message instanceof Y.Map && message.get("id") === id) return message;
    }
    throw new NotFound(`The session has no message ${id}.`, { kind: "message", id });
  }

  #view(json: unknown): Message<Metadata> | undefined {
    if (!isObject(json)) return undefined;
    const known = this.#views.get(json) as Message<Metadata> | undefined;
    if (known) return known;
    const view = readMessage(json, (metadata) => this.#metadataOf(metadata));
    if (view === undefined) return undefined;
    this.#views.set(json, view);
    return view;
  }

  /** Returns the application's metadata; the same object for the same JSON. */
  #metadataOf(json: StoredMetadata): Metadata {
    const known = this.#metadata.get(json);
    if (known !== undefined) return known;
    const metadata = applicationsOf<Metadata>(json);
    this.#metadata.set(json, metadata);
    return metadata;
  }
}

/** Returns a stored message as a snapshot; undefined when it isn't one. */
export function readMessage<Metadata>(
  json: unknown,
  metadataOf: (metadata: StoredMetadata) => Metadata = applicationsOf,
): Message<Metadata> | undefined {
  const message = MESSAGE(json) as Stored | undefined;
  if (message === undefined) return undefined;
  const { id, role, parts = [], metadata = NO_METADATA as StoredMetadata, stamp = {} } = message;
  const { refused } = stamp;
  return Object.freeze({
    id,
    role,
    parts: parts as Part[],
    metadata: metadataOf(metadata),
    text: textOf(parts),
    author: stamp.by ?? metadata.author ?? null,
    verified: stamp.by !== undefined,
    status: metadata.status ?? "complete",
    createdAt: metadata.created_at ?? null,
    run: metadata.run ?? null,
    parent: metadata.parent ?? null,
    to: metadata.to ?? [],
    editedAt: metadata.edited_at ?? null,
    editedBy: metadata.edited_by ?? null,
    deleted: metadata.deleted ?? false,
    refused:
      refused === undefined
        ? null
        : Object.freeze({ code: refused.code, by: refused.by ?? null, at: refused.at ?? "" }),
    seq: stamp.seq ?? null,
  });
}

function applicationsOf<Metadata>(json: StoredMetadata): Metadata {
  const entries = Object.entries(json).filter(([key]) => !OWN_METADATA.has(key));
  return Object.freeze(Object.fromEntries(entries)) as Metadata;
}

/** Returns the text parts, joined. */
function textOf(parts: readonly { readonly type: string; readonly text?: string }[]): string {
  return parts.map((part) => (part.type === "text" ? (part.text ?? "") : "")).join("");
}

/** Returns whether a model is told of a message. */
function isTold({ deleted, parts, refused, role, status, to }: Message<unknown>): boolean {
  const isDelegation = role === "assistant" && to.length > 0;
  const says = ({ type, ...part }: Part): boolean =>
    type !== "step-start" && (type !== "text" || ("text" in part && part.text !== ""));
  return !deleted && refused === null && status !== "streaming" && !isDelegation && parts.some(says);
}

/** The session's own metadata of a message, as it is stored, with the application's. */
interface StoredMetadata {
  readonly author?: string;
  readonly created_at?: string;
  readonly status?: MessageStatus;
  readonly run?: string;
  readonly parent?: string;
  readonly edited_at?: string;
  readonly edited_by?: string;
  readonly to?: readonly string[];
  readonly deleted?: boolean;
}

/** A message as it is stored. */
interface Stored {
  readonly id: string;
  readonly role: Role;
  readonly parts?: readonly { readonly type: string; readonly text?: string }[];
  readonly metadata?: StoredMetadata;
  readonly stamp?: {
    readonly by?: string;
    readonly at?: string;
    readonly seq?: number;
    readonly refused?: { readonly code: string; readonly by?: string; readonly at?: string };
  };
}

/** Returns a text, or parts as they are, as the parts of a message. */
export function partsFrom(content: string | readonly Part[]): readonly JsonObject[] {
  if (typeof content === "string") return [{ type: "text", text: content }];
  if (Array.isArray(content)) return content as unknown as readonly JsonObject[];
  throw new InvalidValue("The content of a message is a text, or a list of parts.");
}

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
