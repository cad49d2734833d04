/**
 * Edits: changes that other participants make to the text of this participant's messages.
 *
 * The author is verified where a change arrived alone: presence maps its Yjs client to a participant. Where the server
 * sent it together with others' changes, the author is taken from the message's own record. Changes in another tab of
 * this participant are its own. The texts are kept only after the first listener, because a document doesn't hold the text
 * before a change.
 */

import type * as Y from "yjs";
import type { Connections } from "./connections.ts";
import type { Context } from "./context.ts";
import type { Message, Messages } from "./messages.ts";

/** A change that another participant made to the text of a message of this page's participant. */
export interface Edit {
  /** The message's id. */
  readonly message: string;
  /** The participant that changed it; null where unknown. */
  readonly by: string | null;
  readonly before: string;
  /** Its text now; empty where the message was deleted. */
  readonly after: string;
  /** Whether the server verified `by`; otherwise it is only the editor's claim. */
  readonly verified: boolean;
}

export class Edits {
  readonly #context: Context;
  readonly #connections: Connections;
  readonly #messages: Pick<Messages<unknown>, "all">;
  #known: ReadonlyMap<string, Message<unknown>> | null = null;
  #of: readonly Message<unknown>[] | null = null;

  constructor(context: Context, connections: Connections, messages: Pick<Messages<unknown>, "all">) {
    this.#context = context;
    this.#connections = connections;
    this.#messages = messages;
  }

  /** Starts to keep the texts. */
  begin(): void {
    if (this.#known === null) this.#read();
  }

  /** Takes the texts of another document, which has replaced the one before. */
  move(): void {
    if (this.#known !== null) this.#read();
  }

  /** Returns the edits of a transaction. */
  look(transaction: Y.Transaction): readonly Edit[] {
    const known = this.#known;
    if (known === null || this.#messages.all === this.#of) return [];
    const own = this.#read();
    if (transaction.local) return [];
    const writer = this.#writerOf(transaction);
    return [...own.values()].flatMap((message) => {
      const before = known.get(message.id);
      if (before === undefined || before.text === message.text) return [];
      const said = message.editedAt === before.editedAt ? null : message.editedBy;
      const by = writer ?? said;
      if (by === this.#context.identity.id) return [];
      const { id, text: after } = message;
      return [Object.freeze({ message: id, by, before: before.text, after, verified: writer !== null })];
    });
  }

  /** Reads this participant's messages. */
  #read(): ReadonlyMap<string, Message<unknown>> {
    const { all } = this.#messages;
    const { id } = this.#context.identity;
    const own = all.filter(({ author }) => author === id).map((message) => [message.id, message] as const);
    this.#of = all;
    this.#known = new Map(own);
    return this.#known;
  }

  /** Returns the participant of the only client that wrote in a transaction; null when it isn't known. */
  #writerOf({ beforeState, afterState }: Y.Transaction): string | null {
    const writers = [...afterState].filter(([client, clock]) => clock !== (beforeState.get(client) ?? 0));
    const [writer] = writers;
    if (writer === undefined || writers.length > 1) return null;
    return this.#connections.all.find(({ client }) => client === writer[0])?.user.id ?? null;
  }
}
