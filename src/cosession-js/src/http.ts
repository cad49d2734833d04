/** Sessions over HTTP: for backends and scripts that don't hold a connection. */

import { checkedSession } from "./address.ts";
import { Credential, type Token } from "./credential.ts";
import { CosessionError, errorFrom, TimedOut, Unavailable } from "./errors.ts";
import { checkedId, isObject, type Json, type JsonObject } from "./json.ts";
import { type Message, partsFrom, readMessage } from "./messages.ts";
import type { Part } from "./parts.ts";
import type { DoubleTexting } from "./policy.ts";

/** The number of sessions that a list is fetched by. */
const PAGE_SIZE = 100;

/** A session as the server describes it. */
export interface SessionInfo {
  readonly id: string;
  readonly title: string;
  /** RFC 3339. */
  readonly createdAt: string;
  /** RFC 3339; null when the server doesn't say it. */
  readonly updatedAt: string | null;
  /** The position in its log. */
  readonly version: number;
  /** The number of its open sockets. */
  readonly connections: number;
}

export interface HttpOptions {
  /** The token, or a function that returns a fresh one: it is called for each request. */
  token?: Token | undefined;
  /** The longest time of a request; 10 by default. */
  timeoutSeconds?: number | undefined;
  /** Makes the requests, in place of `fetch`. */
  fetch?: typeof globalThis.fetch | undefined;
}

/** The role of an invited person, and what it may do at most. */
export type InvitedRole = "viewer" | "member" | "operator" | "admin";

/**
 * A client of the server's HTTP API. A refusal is thrown as the error of its code; a server that can't be reached is
 * `Unavailable`, and one that doesn't answer in time `TimedOut`.
 */
export class HttpClient {
  readonly #url: string;
  readonly #credential: Credential;
  readonly #timeoutSeconds: number;
  readonly #fetch: typeof globalThis.fetch;

  /** `url` is the server's address; a path may follow. */
  constructor(url: string, { token, timeoutSeconds = 10, fetch = globalThis.fetch }: HttpOptions = {}) {
    const address = new URL(url, globalThis.location?.href);
    address.search = "";
    address.hash = "";
    this.#url = address.href.replace(/\/+$/, "");
    this.#credential = new Credential(token);
    this.#timeoutSeconds = timeoutSeconds;
    this.#fetch = fetch.bind(globalThis);
  }

  /**
   * Iterates over the sessions, the last updated first; they are fetched in pages.
   *
   * @param filter - `occupied`: only sessions with an open connection; `limit`: the most sessions
   */
  async *sessions({
    occupied = false,
    limit = Number.POSITIVE_INFINITY,
  }: {
    occupied?: boolean;
    limit?: number;
  } = {}) {
    let [left, after] = [limit, ""];
    while (left > 0) {
      const query = new URLSearchParams({ limit: String(Math.min(left, PAGE_SIZE)) });
      if (occupied) query.set("occupied", "1");
      if (after !== "") query.set("after", after);
      const { sessions, next } = await this.#ask("GET", `/sessions?${query}`);
      if (!Array.isArray(sessions)) throw notAServer(this.#url);
      for (const each of sessions as readonly Json[]) yield this.#info(each);
      left -= sessions.length;
      if (typeof next !== "string" || next === "" || next === after) return;
      after = next;
    }
  }

  /** Looks a session up; throws `NotFound` or `Gone` when there is none. */
  async session(id: string): Promise<SessionInfo> {
    return this.#info(await this.#ask("GET", pathOf(id)));
  }

  /** Creates a session; without an id the server chooses one. Throws `Conflict` when the id is taken. */
  async createSession({
    id,
    title,
    policy,
  }: {
    id?: string;
    title?: string;
    policy?: { agents?: readonly string[]; doubleTexting?: DoubleTexting };
  } = {}): Promise<SessionInfo> {
    const { agents, doubleTexting } = policy ?? {};
    const written = policy === undefined ? undefined : { agents, double_texting: doubleTexting };
    return this.#info(await this.#ask("POST", "/sessions", { id, title, policy: written }));
  }

  /** Deletes a session, with all that is in it. */
  async deleteSession(id: string): Promise<void> {
    await this.#ask("DELETE", pathOf(id));
  }

  /**
   * Adds a message, and returns it.
   *
   * @param options - `id`: makes the call repeatable; `to`: the agents that are asked
   */
  async send(
    session: string,
    content: string | readonly Part[],
    { id, to }: { id?: string; to?: readonly string[] } = {},
  ): Promise<Message> {
    const parts = partsFrom(content);
    const answer = await this.#ask("POST", `${pathOf(session)}/messages`, { parts, id, to });
    const message = readMessage<Message["metadata"]>(answer);
    if (message === undefined) throw notAServer(this.#url);
    return message;
  }

  /** Cancels a run; throws `NotFound` when there is none, and `Conflict` when it has ended. */
  async cancel(session: string, run: string, { reason = "" }: { reason?: string } = {}): Promise<void> {
    const id = encodeURIComponent(checkedId(run, "The id of a run"));
    await this.#ask("POST", `${pathOf(session)}/runs/${id}/cancel`, { reason });
  }

  /** Makes a token for another person, with at most the rights of the inviter, and for no longer. */
  async invite(
    session: string,
    options: { role: InvitedRole; name?: string; seconds?: number },
  ): Promise<{ token: string; participant: string; expiresAt: string }> {
    const {
      token,
      participant,
      expires_at: expires,
    } = await this.#ask("POST", `${pathOf(session)}/invitations`, {
      ...options,
    });
    if (typeof token !== "string" || typeof participant !== "string" || typeof expires !== "number")
      throw notAServer(this.#url);
    return { token, participant, expiresAt: new Date(expires * 1000).toISOString() };
  }

  /** Takes access away: of a participant, or by the id of a token, in one session or in all. Returns the revocation's id. */
  async revoke(what: { participant?: string; token?: string; session?: string }): Promise<{ id: string }> {
    const { id } = await this.#ask("POST", "/revocations", { ...what });
    return { id: String(id) };
  }

  async #ask(method: string, path: string, body?: unknown): Promise<JsonObject> {
    const token = await this.#credential.fresh();
    const headers = {
      accept: "application/json",
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    };
    const signal = AbortSignal.timeout(this.#timeoutSeconds * 1000);
    const init = { method, headers, signal, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
    try {
      const response = await this.#fetch(this.#url + path, init);
      if (response.ok && (response.status === 202 || response.status === 204)) return {};
      const said: unknown = await response.json().catch(() => {
        signal.throwIfAborted();
      });
      if (!response.ok) throw problem(response.status, said);
      if (!isObject(said)) throw notAServer(this.#url);
      return said;
    } catch (error) {
      if (error instanceof CosessionError) throw error;
      if (signal.aborted)
        throw new TimedOut(`The server didn't answer within ${this.#timeoutSeconds} seconds.`);
      throw new Unavailable("The server can't be reached; try again later.", { code: "server.unreachable" });
    }
  }

  #info(said: Json): SessionInfo {
    if (!isObject(said) || typeof said.id !== "string") throw notAServer(this.#url);
    const { id, title, created_at: created, updated_at: updated, version, connections } = said;
    return Object.freeze({
      id,
      title: typeof title === "string" ? title : "",
      createdAt: typeof created === "string" ? created : "",
      updatedAt: typeof updated === "string" ? updated : null,
      version: typeof version === "number" ? version : 0,
      connections: typeof connections === "number" ? connections : 0,
    });
  }
}

function pathOf(session: string): string {
  return `/sessions/${encodeURIComponent(checkedSession(session))}`;
}

/** Returns the error that a problem document describes. */
function problem(status: number, said: unknown): CosessionError {
  const { code, detail, title } = isObject(said) ? said : {};
  const message = [detail, title].find((each) => typeof each === "string" && each !== "");
  return errorFrom(
    typeof code === "string" ? code : status >= 500 ? "server.busy" : "server.refused",
    (message as string | undefined) ?? `The server answered ${status}.`,
  );
}

function notAServer(url: string): CosessionError {
  return new CosessionError(
    "server.foreign",
    `The answer at ${url} isn't one of a session server; check the address.`,
  );
}
