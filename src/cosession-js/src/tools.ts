/**
 * Tools that this page offers to agents: "which row is selected?", "scroll there".
 *
 * A call is a part of an agent's message. Of all pages that offer the tool one claims the call, runs it, and requests
 * that the server writes the answer; the others wait in the queue, in case that page closes before it has answered.
 */

import type { Claim, Claims } from "./claims.ts";
import { Disconnected, InvalidValue, NotAllowed } from "./errors.ts";
import type { Off } from "./events.ts";
import { checked, checkedId, checkedText, isObject, type Json } from "./json.ts";
import type { Message, Part } from "./messages.ts";
import { type Asking, ask, joinKey } from "./requests.ts";

export interface Tool {
  /** The description for the model. */
  description?: string;
  /** The JSON Schema of its input. */
  schema?: Json;
  /** Runs the tool; its result is the output, and an exception becomes the call's error. */
  call(input: Json): unknown;
}

interface Of extends Asking {
  readonly messages: readonly Message[];
  readonly presence: { set(field: string, value: unknown): void };
}

interface Offered {
  readonly tool: Tool;
  /** The tool's description in presence. */
  readonly described: Json;
}

interface Call {
  readonly message: string;
  readonly id: string;
  readonly tool: string;
  readonly input: Json;
}

export class Tools {
  readonly #of: Of;
  readonly #claims: Claims;
  readonly #offered = new Map<string, Offered>();
  readonly #taken = new Set<string>();
  /** The messages without open calls for this page, until they change. */
  #idle = new WeakSet<Message>();

  constructor(of: Of, claims: Claims) {
    this.#of = of;
    this.#claims = claims;
  }

  /** Offers a tool until the returned function is called. */
  offer(name: string, tool: Tool): Off {
    checkedId(name, "The name of a tool");
    if (typeof tool?.call !== "function")
      throw new InvalidValue(`The tool ${name} needs \`call\`, a function.`);
    if (this.#offered.has(name)) throw new InvalidValue(`This page offers the tool ${name} already.`);
    const described = {
      name,
      description: checkedText(tool.description ?? "", `The description of the tool ${name}`),
      schema: checked(tool.schema ?? null, `The schema of the tool ${name}`),
    };
    this.#offered.set(name, { tool, described });
    try {
      this.#tell();
    } catch (error) {
      this.#offered.delete(name);
      throw error;
    }
    this.#idle = new WeakSet();
    this.look();
    return () => {
      if (this.#offered.get(name)?.tool !== tool) return;
      this.#offered.delete(name);
      try {
        this.#tell();
      } catch (error) {
        if (!(error instanceof Disconnected)) throw error; // a closed session offers nothing
      }
    };
  }

  /** Checks for waiting calls. */
  look(): void {
    if (this.#offered.size === 0) return;
    for (const message of this.#of.messages) {
      if (this.#idle.has(message)) continue;
      const calls = this.#open(message);
      if (calls.length === 0) this.#idle.add(message);
      for (const call of calls) if (!this.#taken.has(call.id)) void this.#take(call);
    }
  }

  #tell(): void {
    const tools = [...this.#offered.values()].map(({ described }) => described);
    this.#of.presence.set("tools", tools.length > 0 ? tools : null);
  }

  #open({ id: message, parts }: Message): Call[] {
    return parts.flatMap((part) => {
      const tool = part.type === "dynamic-tool" ? part.toolName : part.type.replace(/^tool-/, "");
      const { toolCallId: id, input = null } = part;
      const isOpen = part.state === "input-available" && this.#isAsked(part);
      const isOurs = typeof tool === "string" && this.#offered.has(tool) && typeof id === "string";
      return isOpen && isOurs ? [{ message, id, tool, input: input as Json }] : [];
    });
  }

  #isAsked({ callProviderMetadata: provider }: Part): boolean {
    const asked = isObject(provider) && isObject(provider.cosession) ? provider.cosession : {};
    const who: readonly unknown[] = Array.isArray(asked.who) ? asked.who : [];
    return asked.client === true && (who.length === 0 || who.includes(this.#of.me.id));
  }

  async #take(call: Call): Promise<void> {
    this.#taken.add(call.id);
    let claim: Claim | null = null;
    try {
      claim = await this.#claims.ask(joinKey("tool", call.id), { wait: true });
      if (claim === null) {
        this.#taken.delete(call.id);
        return;
      }
      const tool = this.#offered.get(call.tool)?.tool;
      const message = this.#of.messages.find(({ id }) => id === call.message);
      const isOpen = message !== undefined && this.#open(message).some(({ id }) => id === call.id);
      const answer = tool !== undefined && isOpen ? await answered(tool, call.input) : null;
      if (answer === null) claim.release();
      else if (this.#claims.holds(claim)) this.#answer(call, answer);
      this.#taken.delete(call.id);
    } catch (error) {
      // The session is closed, or this page may not answer, now or later: another page is next in the queue.
      claim?.release();
      if (!(error instanceof NotAllowed)) this.#taken.delete(call.id);
    }
  }

  #answer({ message, id }: Call, answer: Json): void {
    const subject = [message, id, String(this.#of.doc.clientID)];
    const write = (value: Json): string => ask(this.#of, "answer", subject, value);
    try {
      write(answer);
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
      write({ error: error.message });
    }
  }
}

async function answered(tool: Tool, input: Json): Promise<Json> {
  try {
    const output: unknown = await tool.call(input);
    return { output: checked(output ?? null, "The output of the tool") };
  } catch (error) {
    return { error: sentenceOf(error) };
  }
}

/** Returns the message of an error, for any thrown value. */
function sentenceOf(error: unknown): string {
  try {
    const said: unknown = error instanceof Error ? error.message : error;
    return String(said).toWellFormed();
  } catch {
    return "The tool failed, and doesn't say why.";
  }
}
