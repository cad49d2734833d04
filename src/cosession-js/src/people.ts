/**
 * The people of the session, present and absent: the server's record of each participant (`participants`), with the
 * current presence, which is fresher.
 */

import { colorOf, kindOf, type Participant } from "./identity.ts";
import { isObject, type Json } from "./json.ts";
import type { Presence } from "./presence.ts";

export interface Person extends Participant {
  readonly online: boolean;
  /** The number of their connections. */
  readonly devices: number;
  /** Whether they may be looking: one of their pages is in the foreground, or they are an agent at work. */
  readonly looking: boolean;
  /** The times of their first connection and of their last presence; RFC 3339. */
  readonly since?: string;
  readonly last_seen?: string;
}

type Records = Readonly<Record<string, Json>>;

export class People {
  #of: readonly [Records, readonly Presence[]] | null = null;
  #list: readonly Person[] = [];

  /** Returns all people, present ones first, then by id; the same list as before when nothing changed. */
  list(records: Records, presence: readonly Presence[]): readonly Person[] {
    if (this.#of?.[0] === records && this.#of[1] === presence) return this.#list;
    this.#of = [records, presence];
    const here = Map.groupBy(presence, ({ user }) => user.id);
    const people = [...new Set([...Object.keys(records), ...here.keys()])].map((id) =>
      person(id, records[id], here.get(id) ?? []),
    );
    people.sort(
      (first, second) => Number(second.online) - Number(first.online) || (first.id < second.id ? -1 : 1),
    );
    this.#list = Object.freeze(people);
    return this.#list;
  }
}

function person(id: string, record: Json | undefined, entries: readonly Presence[]): Person {
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
    ...(typeof kept.since === "string" ? { since: kept.since } : {}),
    ...(typeof kept.last_seen === "string" ? { last_seen: kept.last_seen } : {}),
  });
}
