/**
 * Presence: the current connections, each with its transient state (typing, a cursor). It ends with the connection.
 *
 * `user` is verified by the server, for all entries but this page's. One participant has an entry per connection.
 *
 * The server reports participants that left. The awareness protocol would also drop a client after 30 seconds of
 * silence, but browsers slow a hidden tab down to one heartbeat a minute: people would come and go while they only look
 * elsewhere. So no client is dropped for silence here. This page still sends its own heartbeat, for other clients that
 * do drop silent ones.
 */

import type { Awareness } from "y-protocols/awareness";
import { InvalidValue } from "./errors.ts";
import { colorOf, kindOf, type Participant } from "./identity.ts";
import { checked, checkedId, isObject, type JsonObject } from "./json.ts";
import { type Limits, utf8Length } from "./limits.ts";

export interface Presence {
  readonly client: number;
  readonly user: Participant;
  /** Whether its page is in the foreground; missing for clients that are no pages. */
  readonly visible?: boolean;
  readonly [field: string]: unknown;
}

/** The interval of heartbeats: half of the other clients' timeout. */
const SIGN_OF_LIFE_MS = 15_000;

interface Of {
  readonly awareness: Awareness;
  readonly limits: Limits;
}

export class PresenceList {
  readonly #of: Of;
  readonly #changed: () => void;
  readonly #checkOpen: () => void;
  readonly #known = new WeakMap<object, Presence>();
  #all: readonly Presence[] | null = null;
  #others: readonly Presence[] | null = null;

  constructor(of: Of, changed: () => void, checkOpen: () => void) {
    this.#of = of;
    this.#changed = changed;
    this.#checkOpen = checkOpen;
  }

  /** The Yjs awareness, for editors that show cursors. */
  get awareness(): Awareness {
    return this.#of.awareness;
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
    this.#others = null;
    this.#changed();
  }

  /** Every connection, this page's included; the same list as before when nothing changed. */
  get all(): readonly Presence[] {
    this.#all ??= Object.freeze(
      [...this.awareness.getStates()]
        .sort(([first], [second]) => first - second)
        .flatMap(([client, state]) => this.#entry(client, state) ?? []),
    );
    return this.#all;
  }

  /** Every connection but this one. */
  get others(): readonly Presence[] {
    this.#others ??= Object.freeze(this.all.filter(({ client }) => client !== this.awareness.clientID));
    return this.#others;
  }

  /** Sets a field of this page's presence, until the page closes; `null` removes the field. */
  set(field: string, value: unknown): void {
    checkedId(field, "The name of a field of presence");
    if (field === "user")
      throw new InvalidValue("`user` in presence is the identity; it is given to connect().");
    if (field === "visible")
      throw new InvalidValue("`visible` in presence is the page's own; the browser tells it.");
    this.#checkOpen();
    const { [field]: before, ...rest } = this.awareness.getLocalState() ?? {};
    if (value === (before ?? null)) return;
    const said = checked({ [field]: value }, `\`${field}\` in presence`) as JsonObject;
    const state = value === null ? rest : { ...rest, ...said };
    const bytes = utf8Length(JSON.stringify(state));
    const { presenceBytes } = this.#of.limits;
    if (bytes > presenceBytes)
      throw new InvalidValue(
        `With \`${field}\` presence has ${bytes} bytes, and the server takes ${presenceBytes}; what is large or lasting ` +
          "belongs into the document.",
      );
    this.awareness.setLocalState(state);
  }

  /** Returns the entry of a client; undefined for a state without a valid participant. */
  #entry(client: number, state: unknown): Presence | undefined {
    if (!isObject(state) || !isObject(state.user) || typeof state.user.id !== "string") return undefined;
    const known = this.#known.get(state);
    if (known) return known;
    const entry = Object.freeze({ ...state, user: participant(state.user.id, state.user), client });
    this.#known.set(state, entry);
    return entry;
  }
}

/** Returns whether the page is visible, according to the browser; an empty object outside of a browser. */
function visible(): { visible?: boolean } {
  return globalThis.document === undefined ? {} : { visible: document.visibilityState === "visible" };
}

function participant(id: string, user: JsonObject): Participant {
  const { name, color, kind } = user;
  return Object.freeze({
    ...user,
    id,
    name: typeof name === "string" ? name : "Guest",
    color: typeof color === "string" ? color : colorOf(id),
    kind: kindOf(kind),
  });
}
