/**
 * Requests: actions that a participant asks for and the server decides (`cancel/RUN/P`, `steer/RUN/ID/P`).
 *
 * A key ends in the participant's id, so no two participants write the same key. Each segment is percent-encoded by
 * `encodeURIComponent`, which every browser has; the Python SDK makes the same keys. The server removes the request
 * when it has decided; before that it sends a refusal to this page alone, in a notice.
 */

import * as Y from "yjs";
import { CosessionError, Disconnected, errorFrom, NotAllowed } from "./errors.ts";
import { type Identity, includes } from "./grants.ts";
import { knownId } from "./identity.ts";
import { checked, checkedId, isObject, type Json } from "./json.ts";
import { checkName, checkRecord, checkValue, type Limits } from "./limits.ts";
import type { Notice } from "./refusal.ts";
import { transact } from "./transact.ts";
import { type WaitOptions, within } from "./waiting.ts";

const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** The capabilities of which a request needs one, by its kind. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  cancel: ["cancel-any", "cancel-own"],
  steer: ["steer", "cancel-own"],
  vote: ["approve"],
  answer: ["prompt"],
  policy: ["queue"],
  claim: ["claim", "run"],
  release: ["claim", "run"],
};

export type RequestKind = "cancel" | "steer" | "vote" | "policy" | "answer";

/** The server's decision: the request was accepted. */
export interface Accepted {
  readonly accepted: true;
  /** When this page learned of the decision. */
  readonly at: string;
  /** The id of the request. */
  readonly id: string;
  readonly error: null;
  check(): void;
}

/** The server's decision: the request was refused. */
export interface RefusedOutcome {
  readonly accepted: false;
  /** When this page learned of the decision. */
  readonly at: string;
  /** The id of the request. */
  readonly id: string;
  readonly error: CosessionError;
  /** Throws `error`. */
  check(): never;
}

export type Outcome = Accepted | RefusedOutcome;

/** A request of this page. A refusal is reported by the event `refused` if `outcome()` was not called. */
export interface Request {
  /** The id of a steer; for other requests the id of their subject. */
  readonly id: string;
  readonly kind: RequestKind;
  /**
   * Resolves when the server has decided.
   *
   * @throws Disconnected when the session ends before
   * @throws TimedOut when the time is over; the request stays
   */
  outcome(options?: WaitOptions): Promise<Outcome>;
}

export interface Asking {
  readonly doc: Y.Doc;
  readonly identity: Pick<Identity, "id" | "capabilities">;
  readonly limits: Limits;
  checkOpen(): void;
}

/** Percent-encodes one segment. A lone surrogate, which has no UTF-8, becomes U+FFFD. */
export function encodeSegment(segment: string): string {
  return encodeURIComponent(segment.toWellFormed());
}

/** The inverse of `encodeSegment`; an invalid encoding is read as well as possible, as in the Python SDK. */
export function decodeSegment(segment: string): string {
  return segment.replace(/(?:%[0-9a-f]{2})+/gi, (encoded) => {
    const bytes = encoded.slice(1).split("%");
    return UTF8.decode(Uint8Array.from(bytes, (hex) => Number.parseInt(hex, 16)));
  });
}

export function joinKey(...segments: readonly string[]): string {
  return segments.map(encodeSegment).join("/");
}

export function requestKey(kind: string, subject: readonly string[], participant: string): string {
  return joinKey(kind, ...subject, participant);
}

/**
 * Writes a request, and returns its key.
 *
 * @throws NotAllowed when the capabilities that were granted don't include it
 */
export function ask(
  { doc, identity, limits }: Asking,
  kind: string,
  subject: readonly string[],
  value: Json,
): string {
  for (const segment of subject)
    checkName(checkedId(segment, `What a ${kind} is about`), limits, `What a ${kind} is about`);
  const written = checked(value, `The ${kind}`);
  checkValue(written, limits, `The ${kind}`);
  checkNeeds(kind, identity.capabilities);
  const key = requestKey(kind, subject, knownId(identity));
  checkRecord([key, written], limits, `The ${kind}`);
  transact(doc, () => doc.getMap<Json>("requests").set(key, written));
  return key;
}

function checkNeeds(kind: string, capabilities: readonly string[] | null): void {
  const needs = NEEDS[kind] ?? [];
  if (capabilities === null || needs.some((each) => includes(capabilities, each))) return;
  throw new NotAllowed(
    `A ${kind} needs the capability ${needs.join(" or ")}, which this page doesn't have.`,
    {
      touched: "requests/*",
      needs,
    },
  );
}

interface Waiting {
  readonly id: string;
  readonly kind: RequestKind;
  readonly subject: readonly string[];
  readonly value: Json;
  /** The document that it was written into. */
  doc: Y.Doc;
  /** Whether the connection ended meanwhile: then a refusal may have been lost. */
  isUncertain: boolean;
  isRead: boolean;
  readonly settle: (outcome: Outcome) => void;
  readonly fail: (error: Error) => void;
}

/** The requests of this page that the server hasn't decided. At most one waits under each key: the last one counts. */
export class Requests {
  readonly #of: Asking;
  readonly #waiting = new Map<string, Waiting[]>();

  constructor(of: Asking) {
    this.#of = of;
  }

  /** Writes a request; `id` becomes the id of the returned object. */
  ask(kind: RequestKind, subject: readonly string[], value: Json, id: string): Request {
    this.#of.checkOpen();
    const key = ask(this.#of, kind, subject, value);
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    promise.catch(() => {}); // its outcome may never be read
    const { doc } = this.#of;
    const state = { isUncertain: false, isRead: false, settle: resolve, fail: reject };
    const waiting: Waiting = { id, kind, subject, value, doc, ...state };
    this.#waiting.set(key, [...(this.#waiting.get(key) ?? []), waiting]);
    const outcome = (options: WaitOptions = {}): Promise<Outcome> => {
      waiting.isRead = true;
      return within(promise, options, `The server's answer to the ${kind}`);
    };
    return Object.freeze({ id, kind, outcome });
  }

  /**
   * Writes a request when `prepare` has resolved with its subject and value; a CosessionError of that is its outcome.
   * `refused` is called with the error of a refusal, and with whether its outcome is read.
   */
  askAfter(
    kind: RequestKind,
    id: string,
    prepare: () => Promise<{ readonly subject: readonly string[]; readonly value: Json }>,
    refused: (error: CosessionError, isRead: boolean) => void,
  ): Request {
    let isRead = false;
    const decide = async (): Promise<Outcome> => {
      try {
        const { subject, value } = await prepare();
        return await this.ask(kind, subject, value, id).outcome();
      } catch (error) {
        if (error instanceof Disconnected || !(error instanceof CosessionError)) throw error;
        return no(id, error);
      }
    };
    const promise = decide().then((outcome) => {
      if (!outcome.accepted) refused(outcome.error, isRead);
      return outcome;
    });
    promise.catch(() => {}); // its outcome may never be read
    const outcome = (options: WaitOptions = {}): Promise<Outcome> => {
      isRead = true;
      return within(promise, options, `The server's answer to the ${kind}`);
    };
    return Object.freeze({ id, kind, outcome });
  }

  /** Records the server's refusal of a request; returns whether a caller waits for its outcome. */
  refused(notice: Notice): boolean {
    const refused = this.#take(notice.request);
    const touched = notice.touched || "requests/*";
    for (const { id, settle, subject } of refused)
      settle(no(id, errorFrom(notice.code, notice.reason, { touched, id: subject[0] ?? "" })));
    return refused.some(({ isRead }) => isRead);
  }

  /** Checks for decided requests: they are gone from the document. */
  look(): void {
    const { doc } = this.#of;
    const requests = doc.getMap("requests");
    for (const [key, waiting] of this.#waiting) {
      if (requests.has(key)) for (const each of waiting) each.doc = doc;
      else for (const each of this.#take(key)) each.settle(this.#outcomeOf(each));
    }
  }

  /** Records that the connection has ended: notices sent meanwhile don't arrive. */
  interrupted(): void {
    for (const waiting of this.#waiting.values()) for (const each of waiting) each.isUncertain = true;
  }

  /** Rejects all open requests: the session is closed. */
  end(error: Disconnected): void {
    for (const key of [...this.#waiting.keys()]) for (const { fail } of this.#take(key)) fail(error);
  }

  #take(key: string): readonly Waiting[] {
    const waiting = this.#waiting.get(key) ?? [];
    this.#waiting.delete(key);
    return waiting;
  }

  #outcomeOf(waiting: Waiting): Outcome {
    const { id } = waiting;
    if (waiting.doc !== this.#of.doc) {
      const reason = "It was lost with an edit that the server refused; ask again.";
      return no(id, new CosessionError("document.refused", reason, { retryable: true }));
    }
    if (!waiting.isUncertain || this.#isFact(waiting)) return yes(id);
    const reason = "The connection was lost before the server's answer; look at the session.";
    return no(id, new CosessionError("connection.lost", reason));
  }

  /** Returns whether the document shows that a request was accepted. */
  #isFact({ kind, subject, value }: Waiting): boolean {
    const { doc, identity } = this.#of;
    const [id = "", detail] = subject;
    if (kind === "policy") {
      const policy: unknown = doc.getMap("meta").get("policy");
      const told = policy instanceof Y.Map ? policy.toJSON() : policy;
      return isObject(told) && isObject(value) && told.double_texting === value.double_texting;
    }
    if (kind === "answer") return isAnswered(doc, id, detail);
    const record = doc.getMap(kind === "vote" ? "approvals" : "runs").get(id);
    const fact: unknown = record instanceof Y.Map ? record.toJSON() : undefined;
    if (!isObject(fact) || !isObject(value)) return false;
    if (kind === "cancel") return isObject(fact.cancel);
    if (kind === "steer")
      return Array.isArray(fact.steers) && fact.steers.some((each) => isObject(each) && each.id === detail);
    const vote = isObject(fact.votes) ? fact.votes[identity.id] : undefined;
    return kind === "vote" && isObject(vote) && vote.decision === value.decision;
  }
}

/** Returns whether a tool call of a message has an answer. */
function isAnswered(doc: Y.Doc, message: string, call: string | undefined): boolean {
  const messages = doc.getArray<unknown>("messages").toArray();
  const found = messages.find((each) => each instanceof Y.Map && each.get("id") === message);
  const parts: unknown = found instanceof Y.Map ? found.get("parts") : undefined;
  if (!(parts instanceof Y.Array)) return false;
  const part = parts.toArray().find((each) => each instanceof Y.Map && each.get("toolCallId") === call);
  return part instanceof Y.Map && String(part.get("state")).startsWith("output-");
}

function yes(id: string): Accepted {
  return Object.freeze({ accepted: true, at: new Date().toISOString(), id, error: null, check: () => {} });
}

function no(id: string, error: CosessionError): RefusedOutcome {
  const check = (): never => {
    throw error;
  };
  return Object.freeze({ accepted: false, at: new Date().toISOString(), id, error, check });
}
