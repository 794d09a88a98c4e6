/** Answers, whole or put together from a stream. */

import { create } from "@bufbuild/protobuf";

import type { RouteDecision } from "./gen/zoe/inference/v1/decision_pb.js";
import {
  type CompleteResponse,
  CompleteResponseSchema,
  type StreamCompleteResponse,
} from "./gen/zoe/inference/v1/inference_service_pb.js";
import {
  type ContentPart,
  ContentPartSchema,
  type Message,
  MessageSchema,
  Role,
  type ToolCall,
} from "./gen/zoe/inference/v1/message_pb.js";
import {
  type Completed,
  type Delta,
  FinishReason,
  type TokenLogprob,
  type ToolCallDelta,
  type Usage,
} from "./gen/zoe/inference/v1/response_pb.js";
import { SeamQuality } from "./gen/zoe/inference/v1/routing_pb.js";
import { IncompleteStream } from "./errors.js";

/** What a stream yields: `event.case` tells what `event.value` is. */
export type Event = Exclude<StreamCompleteResponse["event"], { case: undefined }>;

/** A whole answer. What has no property here is in `response`. Counts of tokens are bigints, as the protos have them. */
export class Answer {
  constructor(readonly response: CompleteResponse) {}

  /** The answer as a message, to be appended to the conversation. */
  get message(): Message {
    return this.response.message ?? create(MessageSchema, { role: Role.ASSISTANT });
  }

  /** The answer's text; empty if the model only calls tools. */
  get text(): string {
    return this.message.parts.map(({ part }) => (part.case === "text" ? part.value : "")).join("");
  }

  /** What the model thought, if it was asked to show it. */
  get reasoning(): string {
    return this.message.parts.map(({ part }) => (part.case === "reasoning" ? part.value.text : "")).join("");
  }

  /** The model's words for declining. */
  get refusal(): string {
    return this.message.parts.map(({ part }) => (part.case === "refusal" ? part.value : "")).join("");
  }

  /** The calls that the model asks for. */
  get toolCalls(): ToolCall[] {
    return this.message.parts.flatMap(({ part }) => (part.case === "toolCall" ? [part.value] : []));
  }

  /** The model that answered. */
  get model(): string {
    return this.response.model;
  }

  /** Why the answer ended, for example "stop", "length", "tool_calls". */
  get finishReason(): string {
    return (FinishReason[this.response.finishReason] ?? "other").toLowerCase();
  }

  /** The tokens that were used. */
  get usage(): Usage | undefined {
    return this.response.usage;
  }

  /** Where the request went and why. */
  get decision(): RouteDecision | undefined {
    return this.response.decision;
  }
}

/** Puts the events of a stream together. */
export class Transcript {
  #decision: RouteDecision | undefined;
  #completed: Completed | undefined;
  #parts: ContentPart[] = [];
  #calls = new Map<number, ToolCall>();
  #logprobs: TokenLogprob[] = [];

  constructor(private readonly requestId: string) {}

  /** Takes in an event. */
  add(event: Event): void {
    if (event.case === "decision") this.#decision = event.value;
    else if (event.case === "delta") this.#addDelta(event.value);
    else if (event.case === "toolCallDelta") this.#addToolCall(event.value);
    else if (event.case === "backendSwitched" && event.value.seam === SeamQuality.RESTART) this.#clear();
    else if (event.case === "completed") this.#completed = event.value;
  }

  /** The whole answer; throws IncompleteStream if `completed` has not come. */
  answer(): Answer {
    const end = this.#completed;
    if (!end) {
      const message = "the stream ended without `completed`";
      throw new IncompleteStream({ code: "UNKNOWN", message, requestId: this.requestId });
    }
    const { id, model, finishReason, attempts, fromCache } = end;
    const response = create(CompleteResponseSchema, {
      ...{ id, model, finishReason, attempts, fromCache, logprobs: this.#logprobs },
      message: { role: Role.ASSISTANT, parts: this.#parts },
      ...(this.#decision && { decision: this.#decision }),
      ...(end.usage && { usage: end.usage }),
      ...(end.timings && { timings: end.timings }),
    });
    return new Answer(response);
  }

  #clear(): void {
    this.#parts = [];
    this.#calls.clear();
    this.#logprobs = [];
  }

  #addDelta(delta: Delta): void {
    const last = this.#parts.at(-1)?.part;
    if (delta.reasoning) {
      if (last?.case === "reasoning") last.value.text += delta.reasoning;
      else this.#push({ case: "reasoning", value: { text: delta.reasoning } });
    }
    this.#addText("text", delta.text);
    this.#addText("refusal", delta.refusal);
    this.#logprobs.push(...delta.logprobs);
  }

  #addText(kind: "text" | "refusal", text: string): void {
    const last = this.#parts.at(-1)?.part;
    if (!text) return;
    if (last?.case === kind) last.value += text;
    else this.#push({ case: kind, value: text });
  }

  #addToolCall({ toolIndex, id, name, argumentsJsonFragment }: ToolCallDelta): void {
    let call = this.#calls.get(toolIndex);
    if (!call) {
      const { part } = this.#push({ case: "toolCall", value: { id, name } });
      call = part.value as ToolCall;
      this.#calls.set(toolIndex, call);
    }
    call.argumentsJson += argumentsJsonFragment;
  }

  #push(part: NonNullable<Parameters<typeof create<typeof ContentPartSchema>>[1]>["part"] & object): ContentPart {
    const piece = create(ContentPartSchema, { part });
    this.#parts.push(piece);
    return piece;
  }
}
