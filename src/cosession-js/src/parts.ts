/** The parts of a message: their types, and the required fields and states of each. */

import { InvalidValue } from "./errors.ts";
import type { JsonObject } from "./json.ts";

export interface TextPart {
  type: "text";
  text: string;
  state?: "streaming" | "done";
}

export interface ReasoningPart {
  type: "reasoning";
  text: string;
  state?: "streaming" | "done";
}

export interface FilePart {
  type: "file";
  mediaType: string;
  filename?: string;
  url: string;
}

export interface SourceUrlPart {
  type: "source-url";
  sourceId: string;
  url: string;
  title?: string;
}

export interface SourceDocumentPart {
  type: "source-document";
  sourceId: string;
  mediaType: string;
  title: string;
  filename?: string;
}

export interface StepStartPart {
  type: "step-start";
}

export interface DataPart {
  type: `data-${string}`;
  id?: string;
  data: unknown;
}

/** The states of a tool call, each with the fields that it has. */
export type ToolState =
  | { state: "input-streaming"; input: unknown; output?: never; errorText?: never; approval?: never }
  | { state: "input-available"; input: unknown; output?: never; errorText?: never; approval?: never }
  | {
      state: "approval-requested";
      input: unknown;
      output?: never;
      errorText?: never;
      approval: { id: string; approved?: never; reason?: never };
    }
  | {
      state: "approval-responded";
      input: unknown;
      output?: never;
      errorText?: never;
      approval: { id: string; approved: boolean; reason?: string };
    }
  | {
      state: "output-available";
      input: unknown;
      output: unknown;
      errorText?: never;
      preliminary?: boolean;
      approval?: { id: string; approved: true; reason?: string };
    }
  | {
      state: "output-error";
      input: unknown;
      output?: never;
      errorText: string;
      approval?: { id: string; approved: true; reason?: string };
    }
  | {
      state: "output-denied";
      input: unknown;
      output?: never;
      errorText?: never;
      approval: { id: string; approved: false; reason?: string };
    };

export type ToolPart = {
  type: `tool-${string}`;
  toolCallId: string;
  title?: string;
  providerExecuted?: boolean;
} & ToolState;

export type DynamicToolPart = {
  type: "dynamic-tool";
  toolName: string;
  toolCallId: string;
  title?: string;
  providerExecuted?: boolean;
} & ToolState;

/** A part of a message, with the keys of the AI SDK. Other clients may have written fields of other types. */
export type Part =
  | TextPart
  | ReasoningPart
  | FilePart
  | SourceUrlPart
  | SourceDocumentPart
  | StepStartPart
  | DataPart
  | ToolPart
  | DynamicToolPart;

const NEEDED: Readonly<Record<string, readonly string[]>> = {
  text: [],
  reasoning: [],
  custom: ["kind"],
  "source-url": ["sourceId", "url"],
  "source-document": ["sourceId", "mediaType", "title"],
  file: ["mediaType", "url"],
  "reasoning-file": ["mediaType", "url"],
  "steering-message": ["id"],
  "step-start": [],
  "dynamic-tool": ["toolCallId", "toolName"],
};

const TEXT_STATES = ["streaming", "done"];
const TOOL_STATES = [
  "input-streaming",
  "input-available",
  "approval-requested",
  "approval-responded",
  "output-available",
  "output-error",
  "output-denied",
];

/** Returns whether parts of this type are calls of a tool. */
export function isTool(type: string): boolean {
  return type === "dynamic-tool" || /^tool-./s.test(type);
}

/** Returns whether parts of this type hold a text that grows in place. */
export function isGrowingText(type: string): boolean {
  return type === "text" || type === "reasoning";
}

/** Checks that a message can have this part; throws when it can't. */
export function checkPart(part: JsonObject): void {
  const type: unknown = part?.type;
  if (typeof type !== "string") throw new InvalidValue("A part needs a `type`, such as `text`.");
  for (const key of neededBy(type)) {
    if (typeof part[key] !== "string") throw new InvalidValue(`A ${type} part needs \`${key}\`, a string.`);
  }
  if (isGrowingText(type)) {
    const { text = "", state = "done" } = part;
    if (typeof text !== "string") throw new InvalidValue(`The text of a ${type} part must be a string.`);
    checkState(type, state, TEXT_STATES);
  }
  if (isTool(type)) {
    checkState(type, part.state, TOOL_STATES);
    for (const key of ["rawInput", "errorText"])
      if (part[key] !== undefined && typeof part[key] !== "string")
        throw new InvalidValue(`\`${key}\` of a ${type} part must be a string.`);
  }
  if (type.startsWith("data-") && part.data === undefined)
    throw new InvalidValue(`A ${type} part needs \`data\`.`);
  if (type === "steering-message" && !Array.isArray(part.parts))
    throw new InvalidValue("A steering-message part needs `parts`, a list of text and file parts.");
}

function checkState(type: string, state: unknown, states: readonly string[]): void {
  if (!states.includes(state as string))
    throw new InvalidValue(
      `The state of a ${type} part is one of ${states.join(", ")}, not ${JSON.stringify(state)}.`,
    );
}

function neededBy(type: string): readonly string[] {
  if (Object.hasOwn(NEEDED, type)) return NEEDED[type] as readonly string[];
  if (isTool(type)) return ["toolCallId"];
  if (/^data-./s.test(type)) return [];
  const types = Object.keys(NEEDED).join(", ");
  throw new InvalidValue(`\`${type}\` is no type of part; use ${types}, \`tool-NAME\` or \`data-NAME\`.`);
}
