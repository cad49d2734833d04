/**
 * People: all participants of the session, with their presence, devices and attention.
 *
 * The server's records include participants that left; for connected ones, presence is fresher.
 */

import type * as Y from "yjs";
import type { Connection, Connections } from "./connections.ts";
import type { Context } from "./context.ts";
import { compare } from "./directory.ts";
import { colorOf, kindOf, type Participant } from "./identity.ts";
import { isObject, type Json } from "./json.ts";

export interface Person extends Participant {
  readonly online: boolean;
  /** The number of their connections. */
  readonly devices: number;
  /** Whether they may be looking: one of their pages is in the foreground, or they are an agent at work. */
  readonly looking: boolean;
  /** The time of their first connection, RFC 3339. */
  readonly since: string | null;
  /** The time of their last presence, RFC 3339. */
  readonly lastSeen: string | null;
}

type Records = Readonly<Record<string, Json>>;

interface Lists {
  readonly records: Records;
  readonly connections: readonly Connection[];
  readonly all: readonly Person[];
  readonly online: readonly Person[];
  readonly looking: readonly Person[];
  readonly byId: Map<string, Person>;
}

export class People {
  readonly #context: Context;
  readonly #connections: Connections;
  readonly #known = new Map<string, Person>();
  #lists: Lists | null = null;

  constructor(context: Context, connections: Connections) {
    this.#context = context;
    this.#connections = connections;
  }

  /** All people, present ones first, then by id; the same list as before when nothing changed. */
  get all(): readonly Person[] {
    return this.#look().all;
  }

  /** The people that are connected. */
  get online(): readonly Person[] {
    return this.#look().online;
  }

  /** The people that may be looking. */
  get looking(): readonly Person[] {
    return this.#look().looking;
  }

  /** Returns a person by id, e.g. a message's author; one that the session doesn't know has the id as its name. */
  get(id: string): Person {
    const { byId } = this.#look();
    const known = byId.get(id);
    if (known !== undefined) return known;
    const unknown = this.#same(person(id, undefined, []));
    byId.set(id, unknown);
    return unknown;
  }

  [Symbol.iterator](): Iterator<Person> {
    return this.all[Symbol.iterator]();
  }

  /** The server's records, in the document. */
  get y(): Y.Map<unknown> {
    return this.#context.doc.getMap("participants");
  }

  #look(): Lists {
    const records = this.#context.snapshots.of(this.y) as Records;
    const connections = this.#connections.all;
    if (this.#lists?.records === records && this.#lists.connections === connections) return this.#lists;
    const here = Map.groupBy(connections, ({ user }) => user.id);
    const people = [...new Set([...Object.keys(records), ...here.keys()])].map((id) =>
      this.#same(person(id, records[id], here.get(id) ?? [])),
    );
    people.sort((one, other) => Number(other.online) - Number(one.online) || compare(one.id, other.id));
    const before = this.#lists;
    const all = same(before?.all, people);
    this.#lists = {
      records,
      connections,
      all,
      online: same(
        before?.online,
        all.filter(({ online }) => online),
      ),
      looking: same(
        before?.looking,
        all.filter(({ looking }) => looking),
      ),
      byId: new Map(all.map((each) => [each.id, each])),
    };
    return this.#lists;
  }

  /** Returns the person as before when nothing about it changed. */
  #same(made: Person): Person {
    const known = this.#known.get(made.id);
    const keys = Object.keys(made) as (keyof Person)[];
    if (known !== undefined && keys.every((key) => known[key] === made[key])) return known;
    this.#known.set(made.id, made);
    return made;
  }
}

/** Returns the list before when it has the same items. */
function same<Item>(before: readonly Item[] | undefined, made: readonly Item[]): readonly Item[] {
  const isSame = before?.length === made.length && made.every((item, index) => item === before[index]);
  return isSame ? (before as readonly Item[]) : Object.freeze([...made]);
}

function person(id: string, record: Json | undefined, entries: readonly Connection[]): Person {
  const kept = isObject(record) ? record : {};
  const [entry] = entries;
  const isHere = entry !== undefined;
  return Object.freeze({
    id,
    name: entry?.user.name ?? (typeof kept.name === "string" ? kept.name : id),
    kind: entry?.user.kind ?? kindOf(kept.kind),
    color: entry?.user.color ?? colorOf(id),
    online: isHere || kept.online === true,
    devices: isHere ? entries.length : typeof kept.devices === "number" ? kept.devices : 0,
    looking: isHere ? entries.some(({ visible }) => visible === true) : kept.looking === true,
    since: typeof kept.since === "string" ? kept.since : null,
    lastSeen: typeof kept.last_seen === "string" ? kept.last_seen : null,
  });
}
