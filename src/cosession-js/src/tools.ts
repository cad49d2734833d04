/**
 * Tools that this page offers to agents: "which row is selected?", "scroll there".
 *
 * A call is a part of an agent's message. Of all pages that offer the tool one claims the call, runs it, and requests
 * that the server writes the answer; the others wait in the queue, in case that page closes before it has answered.
 */

import type { Claim, Claims } from "./claims.ts";
import type { Connection, Connections } from "./connections.ts";
import type { Context } from "./context.ts";
import { Conflict, Disconnected, InvalidValue, NotAllowed, NotFound } from "./errors.ts";
import type { Off } from "./events.ts";
import {
  checked,
  checkedId,
  checkedObject,
  checkedText,
  isObject,
  type Json,
  type JsonObject,
} from "./json.ts";
import type { Message, Messages } from "./messages.ts";
import type { Part } from "./parts.ts";
import { refusalFrom } from "./refusal.ts";
import { ask, joinKey, type Request } from "./requests.ts";

/** A tool of this page. */
// biome-ignore lint/suspicious/noExplicitAny: the agent's input, as the schema describes it
export interface Tool<Input = any> {
  /** The description for the model. */
  description?: string | undefined;
  /** The JSON Schema of its input. */
  schema?: JsonObject | undefined;
  /** Runs the tool; its result is the output, and an exception becomes the call's error. */
  call(input: Input): unknown;
}

/** A tool that a page or a program offers to agents. */
export interface OfferedTool {
  readonly name: string;
  readonly description: string;
  readonly schema: JsonObject | null;
  /** The participant that offers it. */
  readonly participant: string;
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
  readonly #context: Context;
  readonly #claims: Claims;
  readonly #connections: Connections;
  readonly #messages: Pick<Messages<unknown>, "all" | "get">;
  readonly #offered = new Map<string, Offered>();
  readonly #taken = new Set<string>();
  /** The messages without open calls for this page, until they change. */
  #idle = new WeakSet<Message<unknown>>();
  #of: readonly Connection[] | null = null;
  #all: readonly OfferedTool[] = Object.freeze([]);

  constructor(
    context: Context,
    claims: Claims,
    connections: Connections,
    messages: Pick<Messages<unknown>, "all" | "get">,
  ) {
    this.#context = context;
    this.#claims = claims;
    this.#connections = connections;
    this.#messages = messages;
  }

  /** The tools that connected clients offer, each once per participant; the same list as before when nothing changed. */
  get all(): readonly OfferedTool[] {
    const { all } = this.#connections;
    if (all === this.#of) return this.#all;
    this.#of = all;
    const found = new Map<string, OfferedTool>();
    for (const { tools, user } of all)
      for (const each of Array.isArray(tools) ? (tools as readonly unknown[]) : []) {
        const tool = offeredBy(user.id, each);
        if (tool !== undefined) found.set(joinKey(tool.participant, tool.name), tool);
      }
    const list = [...found.values()];
    if (JSON.stringify(list) !== JSON.stringify(this.#all)) this.#all = Object.freeze(list);
    return this.#all;
  }

  /** Offers a tool until the returned function is called. */
  // biome-ignore lint/suspicious/noExplicitAny: the agent's input, as the schema describes it
  offer<Input = any>(name: string, tool: Tool<Input>): Off {
    this.#context.checkOpen();
    checkedId(name, "The name of a tool");
    if (typeof tool?.call !== "function")
      throw new InvalidValue(`The tool ${name} needs \`call\`, a function.`);
    if (this.#offered.has(name)) throw new Conflict(`This page offers the tool ${name} already.`);
    const described = {
      name,
      description: checkedText(tool.description ?? "", `The description of the tool ${name}`),
      schema: tool.schema === undefined ? null : checkedObject(tool.schema, `The schema of the tool ${name}`),
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

  /**
   * Answers a call that an agent has left to clients, e.g. when a person has filled in a form. Of several pages that
   * answer at once one does; the others are refused with `ClaimHeld` or `Conflict`.
   *
   * @throws NotFound when there is no such message
   */
  answer(message: string, toolCall: string, result: { output: Json } | { error: string }): Request {
    this.#context.checkOpen();
    const call = checkedId(toolCall, "The id of a tool call");
    if (this.#messages.get(checkedId(message, "The id of a message")) === undefined)
      throw new NotFound(`The session has no message ${message}.`, { kind: "message", id: message });
    const value: Json =
      "error" in result
        ? { error: checkedText(result.error, "The error of a tool") }
        : { output: checked(result.output, "The output of a tool") };
    let claim: Claim | null = null;
    const prepare = async () => {
      claim = await this.#claims.take(joinKey("tool", call), {});
      return { subject: [message, call, String(this.#context.doc.clientID)], value };
    };
    return this.#context.requests.askAfter("answer", call, prepare, ({ code, message: reason }, isRead) => {
      claim?.release();
      if (!isRead) this.#context.refuse(refusalFrom({ code, reason, touched: "requests/*" }, null));
    });
  }

  /** Checks for waiting calls. @internal */
  look(): void {
    if (this.#offered.size === 0) return;
    for (const message of this.#messages.all) {
      if (this.#idle.has(message)) continue;
      const calls = this.#open(message);
      if (calls.length === 0) this.#idle.add(message);
      for (const call of calls) if (!this.#taken.has(call.id)) void this.#take(call);
    }
  }

  #tell(): void {
    const tools = [...this.#offered.values()].map(({ described }) => described);
    this.#connections.set({ tools: tools.length > 0 ? tools : null }, "these tools");
  }

  #open({ id: message, parts }: Message<unknown>): Call[] {
    return (parts as readonly (Part & Readonly<Record<string, unknown>>)[]).flatMap((part) => {
      const tool: unknown = part.type === "dynamic-tool" ? part.toolName : part.type.replace(/^tool-/, "");
      const { toolCallId: id, input = null } = part as Readonly<Record<string, unknown>>;
      const isOpen = "state" in part && part.state === "input-available" && this.#isAsked(part);
      const isOurs = typeof tool === "string" && this.#offered.has(tool) && typeof id === "string";
      return isOpen && isOurs ? [{ message, id, tool, input: input as Json }] : [];
    });
  }

  #isAsked({ callProviderMetadata: provider }: Readonly<Record<string, unknown>>): boolean {
    const asked = isObject(provider) && isObject(provider.cosession) ? provider.cosession : {};
    const who: readonly unknown[] = Array.isArray(asked.who) ? asked.who : [];
    return asked.client === true && (who.length === 0 || who.includes(this.#context.identity.id));
  }

  async #take(call: Call): Promise<void> {
    this.#taken.add(call.id);
    let claim: Claim | null = null;
    try {
      claim = await this.#claims.obtain(joinKey("tool", call.id), { wait: true });
      if (claim === null) {
        this.#taken.delete(call.id);
        return;
      }
      const tool = this.#offered.get(call.tool)?.tool;
      const message = this.#messages.get(call.message);
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
    const subject = [message, id, String(this.#context.doc.clientID)];
    const write = (value: Json): string => ask(this.#context, "answer", subject, value);
    try {
      write(answer);
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
      write({ error: error.message });
    }
  }
}

function offeredBy(participant: string, tool: unknown): OfferedTool | undefined {
  if (!isObject(tool) || typeof tool.name !== "string" || tool.name === "") return undefined;
  const { name, description, schema } = tool;
  return Object.freeze({
    name,
    description: typeof description === "string" ? description : "",
    schema: isObject(schema) ? schema : null,
    participant,
  });
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
