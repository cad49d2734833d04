/** The types that an application gives its sessions: by arguments of `connect`, or once, by an augmentation. */

import type { Json, JsonObject } from "./json.ts";

/**
 * Holds the types of all sessions of an application:
 * `declare module "@cosession/client" { interface Register { State: Trip } }`, and `Presence` and `Metadata` alike.
 */
// biome-ignore lint/suspicious/noEmptyInterface: applications add to it
export interface Register {}

type Registered<Name extends string, Default> = Register extends { [key in Name]: infer Given }
  ? Given
  : Default;

/** The application's shared state. */
export type AnyState = Registered<"State", JsonObject>;
/** The application's fields of presence. */
export type AnyPresence = Registered<"Presence", JsonObject>;
/** The application's metadata of messages. */
export type AnyMetadata = Registered<"Metadata", JsonObject>;

/** The type of the value at a path with dots. */
export type ValueAt<State, Path> = Path extends `${infer First}.${infer Rest}`
  ? First extends keyof State
    ? ValueAt<NonNullable<State[First]>, Rest>
    : State extends readonly (infer Item)[]
      ? ValueAt<NonNullable<Item>, Rest>
      : Json
  : Path extends keyof State
    ? State[Path]
    : State extends readonly (infer Item)[]
      ? Item
      : Json;
