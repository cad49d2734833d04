/** Presence: the current connections, each with its person and the application's transient fields. */

import type { Awareness } from "y-protocols/awareness";
import { type Connection, type Connections, RESERVED } from "./connections.ts";
import { InvalidValue } from "./errors.ts";
import { checkedId, isObject } from "./json.ts";
import type { People, Person } from "./people.ts";
import type { AnyPresence } from "./register.ts";

/** One connection: a page, or a process. */
export interface Presence<Fields = AnyPresence> {
  /** Its Yjs client. */
  readonly client: number;
  readonly user: Person;
  /** Whether its page is in the foreground; null for clients that are no pages. */
  readonly visible: boolean | null;
  /** The fields that the application has set there, unchecked: other clients may write anything. */
  readonly fields: Readonly<Partial<Fields>>;
}

export class PresenceGroup<Fields = AnyPresence> {
  readonly #connections: Connections;
  readonly #people: People;
  readonly #known = new WeakMap<Connection, Presence<Fields>>();
  #of: readonly [readonly Connection[], readonly Person[]] | null = null;
  #all: readonly Presence<Fields>[] = [];
  #others: readonly Presence<Fields>[] = [];

  constructor(connections: Connections, people: People) {
    this.#connections = connections;
    this.#people = people;
  }

  /** The Yjs awareness, for editors that show cursors. A refusal replaces it, with the event `doc`. */
  get awareness(): Awareness {
    return this.#connections.awareness;
  }

  /** Every connection, this page's included; the same list as before when nothing changed. */
  get all(): readonly Presence<Fields>[] {
    this.#look();
    return this.#all;
  }

  /** Every connection but this one. */
  get others(): readonly Presence<Fields>[] {
    this.#look();
    return this.#others;
  }

  /** The fields of this page. */
  get mine(): Readonly<Partial<Fields>> {
    return this.#connections.mine as Readonly<Partial<Fields>>;
  }

  /** Sets fields of this page's presence, until the page closes; null removes one, and others stay. */
  set(fields: { readonly [Name in keyof Fields]?: Fields[Name] | null }): void {
    if (!isObject(fields)) throw new InvalidValue("Fields of presence are given as an object.");
    const names = Object.keys(fields);
    for (const name of names) {
      checkedId(name, "The name of a field of presence");
      if (RESERVED.includes(name))
        throw new InvalidValue(`\`${name}\` in presence is written by the session; use another name.`, {
          path: name,
        });
    }
    this.#connections.set(fields, names.map((name) => `\`${name}\``).join(", "));
  }

  #look(): void {
    const [connections, people] = [this.#connections.all, this.#people.all];
    if (this.#of?.[0] === connections && this.#of[1] === people) return;
    this.#of = [connections, people];
    this.#all = Object.freeze(connections.map((connection) => this.#entry(connection)));
    const { clientID } = this.awareness;
    this.#others = Object.freeze(this.#all.filter(({ client }) => client !== clientID));
  }

  #entry(connection: Connection): Presence<Fields> {
    const user = this.#people.get(connection.user.id);
    const known = this.#known.get(connection);
    if (known?.user === user) return known;
    const { client, visible, fields } = connection;
    const entry = Object.freeze({ client, user, visible, fields: fields as Readonly<Partial<Fields>> });
    this.#known.set(connection, entry);
    return entry;
  }
}
