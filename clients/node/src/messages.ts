/**
 * Conversations from what people have at hand: strings, objects as in OpenAI's API, and ready messages.
 *
 * The rule: what is not understood is a TypeError that names its place, never dropped.
 */

import { create, isMessage } from "@bufbuild/protobuf";

import {
  type ContentPart,
  ContentPartSchema,
  type Message,
  MessageSchema,
  Role,
  type Tool as ToolMessage,
  ToolSchema,
} from "./gen/zoe/inference/v1/message_pb.js";

/** A piece of a message. A picture is a `data:` or `http(s):` URI, or the bytes of its file. */
export type Part =
  | string
  | { type: "text"; text: string }
  | { type: "image_url"; image_url: string | { url: string } }
  | { type: "image"; data: Uint8Array };

/** A message as in OpenAI's API. */
export interface Said {
  role: "system" | "developer" | "user" | "assistant" | "tool";
  content?: string | readonly Part[] | null;
  name?: string;
  tool_calls?: readonly { id: string; function: { name: string; arguments: string } }[];
  tool_call_id?: string;
}

/** One turn: a string is what the user says. */
export type Turn = string | Said | Message;

/** A prompt, or a conversation. */
export type Messages = Turn | readonly Turn[];

/** A function that the model may call, with or without OpenAI's wrapping. */
export type Tool = { type: "function"; function: ToolFunction } | ToolFunction;

/** A function: its parameters are a JSON Schema. */
export interface ToolFunction {
  name: string;
  description?: string;
  parameters?: object;
  strict?: boolean;
}

/** The messages of a conversation. */
export function conversation(messages: Messages): Message[] {
  const turns = Array.isArray(messages) ? (messages as readonly Turn[]) : [messages as Turn];
  if (!turns.length) throw new TypeError("messages: at least one is needed");
  return turns.map((turn, index) => messageOf(turn, `messages[${index}]`));
}

/** A tool as a message. */
export function toolOf(tool: Tool): ToolMessage {
  const { name, description = "", parameters, strict = false } = "function" in tool ? tool.function : tool;
  const parametersJsonSchema = parameters ? JSON.stringify(parameters) : "";
  return create(ToolSchema, { name, description, parametersJsonSchema, strict });
}

/** A number of an enum by its word, such as "high". */
export function choice<E extends number>(values: Record<string, E | string>, word: string, place: string): E {
  const value = values[String(word).toUpperCase()];
  if (typeof value === "number" && value !== 0) return value;
  const known = Object.keys(values).filter((name) => typeof values[name] === "number" && values[name] !== 0);
  throw new TypeError(`${place}: ${String(word)} is not one of ${known.join(", ").toLowerCase()}`);
}

function messageOf(turn: Turn, place: string): Message {
  if (typeof turn === "string") turn = { role: "user", content: turn };
  if (isMessage(turn, MessageSchema)) return turn;
  if (typeof turn !== "object" || turn === null) throw new TypeError(`${place}: a string or an object is needed`);
  const role = choice(Role, turn.role, `${place}.role`);
  const parts = role === Role.TOOL ? [toolResult(turn, place)] : [...content(turn, place), ...toolCalls(turn)];
  return create(MessageSchema, { role, parts, name: turn.name ?? "" });
}

function content(said: Said, place: string): ContentPart[] {
  const given = said.content ?? [];
  const parts = typeof given === "string" ? [given] : given;
  return parts.map((part, index) => create(ContentPartSchema, { part: partOf(part, `${place}.content[${index}]`) }));
}

type PartInit = ContentPart["part"];

function partOf(part: Part, place: string): PartInit {
  if (typeof part === "string") return { case: "text", value: part };
  switch (part.type) {
    case "text":
      return { case: "text", value: part.text };
    case "image_url": {
      const uri = typeof part.image_url === "string" ? part.image_url : part.image_url.url;
      return image({ case: "uri", value: uri });
    }
    case "image":
      return image({ case: "data", value: part.data });
    default:
      throw new TypeError(`${place}.type: has to be text, image_url or image`);
  }
}

type Source = { case: "uri"; value: string } | { case: "data"; value: Uint8Array };

function image(source: Source): PartInit {
  return create(ContentPartSchema, { part: { case: "image", value: { source } } }).part;
}

function toolCalls(said: Said): ContentPart[] {
  return (said.tool_calls ?? []).map(({ id, function: { name, arguments: argumentsJson } }) =>
    create(ContentPartSchema, { part: { case: "toolCall", value: { id, name, argumentsJson } } }),
  );
}

function toolResult(said: Said, place: string): ContentPart {
  const { content: text, tool_call_id: toolCallId } = said;
  if (!toolCallId) throw new TypeError(`${place}.tool_call_id: is needed`);
  if (typeof text !== "string") throw new TypeError(`${place}.content: a tool's result is text`);
  return create(ContentPartSchema, { part: { case: "toolResult", value: { toolCallId, text } } });
}
