/**
 * Connections: the connected clients, each with its transient state (typing, a cursor). An entry ends with its connection.
 *
 * `user` is verified by the server, for all entries but this page's. One participant has an entry per connection.
 *
 * The server reports participants that left. The awareness protocol would also drop a client after 30 seconds of
 * silence, but browsers slow a hidden tab down to one heartbeat a minute: people would come and go while they only look
 * elsewhere. So no client is dropped for silence here. This page still sends its own heartbeat, for other clients that
 * do drop silent ones.
 */

import type { Awareness } from "y-protocols/awareness";
import type { Context } from "./context.ts";
import { InvalidValue } from "./errors.ts";
import { colorOf, kindOf, type Participant } from "./identity.ts";
import { checked, isObject, type JsonObject } from "./json.ts";
import { utf8Length } from "./limits.ts";
import type { Here } from "./runs.ts";

export interface Connection {
  readonly client: number;
  readonly user: Participant;
  /** Whether its page is in the foreground; null for clients that are no pages. */
  readonly visible: boolean | null;
  /** The application's fields. */
  readonly fields: JsonObject;
  /** The tools that it offers, unchecked. */
  readonly tools: unknown;
}

/** The interval of heartbeats: half of the other clients' timeout. */
const SIGN_OF_LIFE_MS = 15_000;

/** The fields of presence that are not the application's. */
export const RESERVED: readonly string[] = ["user", "visible", "tools"];

export class Connections {
  readonly #context: Context;
  readonly #changed: () => void;
  readonly #known = new WeakMap<object, Connection>();
  readonly #fields = new WeakMap<object, JsonObject>();
  #all: readonly Connection[] | null = null;
  #here: Here | null = null;

  constructor(context: Context, changed: () => void) {
    this.#context = context;
    this.#changed = changed;
  }

  get awareness(): Awareness {
    return this.#context.awareness;
  }

  /** Starts to use an awareness: sets this state, the page's visibility and the heartbeat there. */
  begin(awareness: Awareness, state: Readonly<Record<string, unknown>>): void {
    awareness.setLocalState({ ...state, ...visible() });
    clearInterval(awareness._checkInterval);
    const signs = setInterval(() => awareness.setLocalState(awareness.getLocalState()), SIGN_OF_LIFE_MS);
    const looked = (): void => awareness.setLocalState({ ...awareness.getLocalState(), ...visible() });
    globalThis.document?.addEventListener("visibilitychange", looked);
    awareness.on("destroy", () => {
      clearInterval(signs);
      globalThis.document?.removeEventListener("visibilitychange", looked);
    });
    awareness.on("change", () => awareness === this.awareness && this.refresh());
  }

  /** Reads all entries again, and emits a change. */
  refresh(): void {
    this.#all = null;
    this.#here = null;
    this.#changed();
  }

  /** Every connection, this page's included; the same list as before when nothing changed. */
  get all(): readonly Connection[] {
    this.#all ??= Object.freeze(
      [...this.awareness.getStates()]
        .sort(([first], [second]) => first - second)
        .flatMap(([client, state]) => this.#entry(client, state) ?? []),
    );
    return this.#all;
  }

  /** The Yjs clients of each participant; the same object as before when nothing changed. */
  get here(): Here {
    if (this.#here !== null) return this.#here;
    const clients = new Map<string, Set<number>>();
    for (const { client, user } of this.all) {
      const own = clients.get(user.id) ?? new Set();
      clients.set(user.id, own.add(client));
    }
    this.#here = { clients };
    return this.#here;
  }

  /** The application's fields of this page. */
  get mine(): JsonObject {
    return this.#fieldsOf(this.awareness.getLocalState() ?? {});
  }

  /** Changes fields of this page's presence, until the page closes; null removes one. */
  set(fields: Readonly<Record<string, unknown>>, what: string): void {
    this.#context.checkOpen();
    const before = this.awareness.getLocalState() ?? {};
    const said = checked(fields, what) as JsonObject;
    const changed = Object.keys(said).some((name) => said[name] !== (before[name] ?? null));
    if (!changed) return;
    const state = Object.fromEntries(
      Object.entries({ ...before, ...said }).filter(([, value]) => value !== null),
    );
    const bytes = utf8Length(JSON.stringify(state));
    const { presenceBytes } = this.#context.limits;
    if (bytes > presenceBytes)
      throw new InvalidValue(
        `With ${what} presence has ${bytes} bytes, and the server takes ${presenceBytes}; write large or lasting values ` +
          "into the document.",
      );
    this.awareness.setLocalState(state);
  }

  /** Returns the entry of a client; undefined for a state without a valid participant. */
  #entry(client: number, state: unknown): Connection | undefined {
    if (!isObject(state) || !isObject(state.user) || typeof state.user.id !== "string") return undefined;
    const known = this.#known.get(state);
    if (known) return known;
    const entry = Object.freeze({
      client,
      user: participant(state.user.id, state.user),
      visible: typeof state.visible === "boolean" ? state.visible : null,
      fields: this.#fieldsOf(state),
      tools: state.tools,
    });
    this.#known.set(state, entry);
    return entry;
  }

  #fieldsOf(state: Readonly<Record<string, unknown>>): JsonObject {
    const known = this.#fields.get(state);
    if (known) return known;
    const own = Object.entries(state).filter(([name]) => !RESERVED.includes(name));
    const fields = Object.freeze(Object.fromEntries(own)) as JsonObject;
    this.#fields.set(state, fields);
    return fields;
  }
}

/** Returns whether the page is visible, according to the browser; an empty object outside of a browser. */
function visible(): { visible?: boolean } {
  return globalThis.document === undefined ? {} : { visible: document.visibilityState === "visible" };
}

function participant(id: string, user: JsonObject): Participant {
  const { name, color, kind } = user;
  return Object.freeze({
    id,
    name: typeof name === "string" ? name : "Guest",
    color: typeof color === "string" ? color : colorOf(id),
    kind: kindOf(kind),
  });
}
