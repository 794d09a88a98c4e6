/** The options of `complete`, `stream` and `route`. Absent means the daemon's default; ranges are the daemon's to check. */

import type { JsonObject } from "@bufbuild/protobuf";

import type { InferenceSpec } from "./gen/zoe/inference/v1/spec_pb.js";
import type { CachePolicy_Mode, ReasoningConfig_Effort } from "./gen/zoe/inference/v1/spec_pb.js";
import type { LatencyTarget_Level, Locality, Priority, SeamQuality } from "./gen/zoe/inference/v1/routing_pb.js";
import type { Tool } from "./messages.js";
import type { CallOptions } from "./rpc.js";

/** The values of an enum in lower case, such as "high". */
export type Word<Enum> = Exclude<Lowercase<keyof Enum & string>, "unspecified">;

/** What is asked. */
export interface SpecOptions {
  /** Model, alias or group. One of model, capability and intent, at most. */
  model?: string;
  /** What the model has to be able to do, for example "vision" or ["tools", "code"]. */
  capability?: string | readonly string[];
  /** Intent of the request, for example "code"; saves its classification. */
  intent?: string;
  /** Models to try when no backend of the selected one can serve. */
  fallbackModels?: readonly string[];
  /** Backends that may be used. */
  allowedBackends?: readonly string[];
  /** Backends that may not be used. */
  excludedBackends?: readonly string[];

  /** Instructions; becomes the first message. */
  system?: string;
  /** Text of documents that the answer shall rest on. */
  context?: string;
  /** Functions that the model may call, as in OpenAI's API. */
  tools?: readonly Tool[];
  /** "auto", "none", "required", or the name of a function. */
  toolChoice?: string;
  /** Whether several tools may be called in one answer. */
  parallelToolCalls?: boolean;
  /** The form of the answer: some JSON, JSON by a schema, or text by a grammar in GBNF. */
  responseFormat?: "text" | "json_object" | { schema: object; name?: string; strict?: boolean } | { grammar: string };

  temperature?: number;
  topP?: number;
  topK?: number;
  minP?: number;
  frequencyPenalty?: number;
  presencePenalty?: number;
  repetitionPenalty?: number;
  seed?: number | bigint;
  logitBias?: Readonly<Record<number, number>>;
  topLogprobs?: number;
  maxOutputTokens?: number;
  stop?: string | readonly string[];
  /** Options in the backend's own words, for example { num_ctx: 8192 }. */
  backendOptions?: JsonObject;
  /** How long the model may think. */
  reasoningEffort?: Word<typeof ReasoningConfig_Effort>;
  /** Whether the thinking is part of the answer. */
  includeReasoning?: boolean;

  /** How urgent it is. */
  priority?: Word<typeof Priority>;
  /** How fast the answer should come, in words. */
  latency?: Word<typeof LatencyTarget_Level>;
  /** Longest acceptable time to the first token. */
  maxTimeToFirstTokenMs?: number;
  /** Longest acceptable time to the last token. */
  maxTotalTimeMs?: number;
  /** Where the prompt may go. */
  locality?: Word<typeof Locality>;
  /** How the backend is chosen, for example "least_loaded". */
  strategy?: string;
  /** Requests with the same key prefer the same backend. */
  affinityKey?: string;
  /** Share of cost in the score, 0 to 1. */
  costWeight?: number;
  /** Highest acceptable cost in millionths of a US dollar. */
  maxCostMicroUsd?: number | bigint;
  /** Longest wait for a place; 0 refuses to wait. */
  maxQueueTimeMs?: number;
  /** Most attempts in all. */
  maxAttempts?: number;
  /** Whether another model than the chosen one may be used by a later attempt. */
  allowDifferentModel?: boolean;
  /** The worst splice that is acceptable when a backend is lost in the middle of an answer. */
  minimumSeam?: Word<typeof SeamQuality>;
  /** A second backend is asked too if the first is silent for this long. */
  hedgeAfterMs?: number;
  /** Whether a stored answer may be used. */
  cache?: Word<typeof CachePolicy_Mode>;
  /** How long the answer may be served to others. */
  cacheTtlMs?: number;

  /** Ties requests to one conversation, so that they prefer the backend that holds its beginning. */
  sessionId?: string;
  /** The end user on whose behalf you ask. */
  endUserId?: string;
  /** Free labels for the daemon's rules and its decision log. */
  metadata?: Readonly<Record<string, string>>;
}

/** Options of a call. */
export interface Options extends SpecOptions, CallOptions {
  /** A ready specification, in place of messages and SpecOptions. */
  spec?: InferenceSpec;
  /** Names the request in the daemon's log. Default: a UUID. */
  requestId?: string;
  /** Whether every candidate is listed in the decision. */
  explain?: boolean;
}

/** Options of a stream. */
export interface StreamOptions extends Options {
  /** Longest time that text may be held back to send fewer messages. */
  maxCoalesceMs?: number;
  /** Whether the decision, and what the request waits for, are sent at once. */
  progress?: boolean;
}
