/** The InferenceSpec of a call, from its options. The rule: one table says where each option goes. */

import { create, type JsonObject } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";

import { type ToolChoice, ToolChoice_Mode, ToolChoiceSchema } from "./gen/zoe/inference/v1/message_pb.js";
import {
  CapabilityHintSchema,
  CostPreferenceSchema,
  FailoverPolicySchema,
  LatencyTarget_Level,
  LatencyTargetSchema,
  Locality,
  Priority,
  RoutingPreferencesSchema,
  SeamQuality,
  TargetSchema,
} from "./gen/zoe/inference/v1/routing_pb.js";
import {
  CachePolicy_Mode,
  CachePolicySchema,
  type InferenceSpec,
  InferenceSpecSchema,
  ReasoningConfig_Effort,
  ReasoningConfigSchema,
  type ResponseFormat,
  ResponseFormatSchema,
  SamplingParamsSchema,
} from "./gen/zoe/inference/v1/spec_pb.js";
import { choice, conversation, type Messages, toolOf } from "./messages.js";
import type { SpecOptions } from "./options.js";

type Put<K extends keyof SpecOptions> = (spec: InferenceSpec, value: NonNullable<SpecOptions[K]>) => void;

const SELECTORS = ["model", "capability", "intent"] as const;

/** The specification of a request; a mistake is a TypeError that names it. */
export function specOf(messages: Messages, options: SpecOptions): InferenceSpec {
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== null);
  const selectors = SELECTORS.filter((name) => options[name] !== undefined);
  if (selectors.length > 1) throw new TypeError(`${selectors.join(" and ")}: give only one of them`);
  const spec = create(InferenceSpecSchema, { messages: conversation(messages) });
  for (const [name, value] of given) {
    if (!Object.hasOwn(FIELDS, name)) throw new TypeError(`${name}: unknown option`);
    (FIELDS[name as keyof SpecOptions] as Put<never>)(spec, value as never);
  }
  return spec;
}

const target = (spec: InferenceSpec) => (spec.target ??= create(TargetSchema));
const sampling = (spec: InferenceSpec) => (spec.sampling ??= create(SamplingParamsSchema));
const reasoning = (spec: InferenceSpec) => (spec.reasoning ??= create(ReasoningConfigSchema));
const cache = (spec: InferenceSpec) => (spec.cache ??= create(CachePolicySchema));
const routing = (spec: InferenceSpec) => (spec.routing ??= create(RoutingPreferencesSchema));
const latency = (spec: InferenceSpec) => (routing(spec).latencyTarget ??= create(LatencyTargetSchema));
const cost = (spec: InferenceSpec) => (routing(spec).cost ??= create(CostPreferenceSchema));
const failover = (spec: InferenceSpec) => (routing(spec).failover ??= create(FailoverPolicySchema));

const list = (value: string | readonly string[]): string[] => (typeof value === "string" ? [value] : [...value]);

const FIELDS: { [K in keyof Required<SpecOptions>]: Put<K> } = {
  model: (spec, value) => (target(spec).selector = { case: "model", value }),
  capability: (spec, value) => {
    target(spec).selector = { case: "capability", value: create(CapabilityHintSchema, { required: list(value) }) };
  },
  intent: (spec, value) => {
    target(spec).selector = create(TargetSchema, { selector: { case: "auto", value: { intent: value } } }).selector;
  },
  fallbackModels: (spec, value) => (target(spec).fallbackModels = list(value)),
  allowedBackends: (spec, value) => (target(spec).allowedBackends = list(value)),
  excludedBackends: (spec, value) => (target(spec).excludedBackends = list(value)),

  system: (spec, value) => spec.messages.unshift(...conversation({ role: "system", content: value })),
  context: (spec, value) => (spec.context = value),
  tools: (spec, value) => (spec.tools = value.map(toolOf)),
  toolChoice: (spec, value) => (spec.toolChoice = toolChoice(value)),
  parallelToolCalls: (spec, value) => (spec.parallelToolCalls = value),
  responseFormat: (spec, value) => (spec.responseFormat = responseFormat(value)),

  temperature: (spec, value) => (sampling(spec).temperature = value),
  topP: (spec, value) => (sampling(spec).topP = value),
  topK: (spec, value) => (sampling(spec).topK = value),
  minP: (spec, value) => (sampling(spec).minP = value),
  frequencyPenalty: (spec, value) => (sampling(spec).frequencyPenalty = value),
  presencePenalty: (spec, value) => (sampling(spec).presencePenalty = value),
  repetitionPenalty: (spec, value) => (sampling(spec).repetitionPenalty = value),
  seed: (spec, value) => (sampling(spec).seed = BigInt(value)),
  logitBias: (spec, value) => (sampling(spec).logitBias = { ...value }),
  topLogprobs: (spec, value) => (spec.topLogprobs = value),
  maxOutputTokens: (spec, value) => (spec.maxOutputTokens = value),
  stop: (spec, value) => (spec.stop = list(value)),
  backendOptions: (spec, value) => (spec.backendOptions = { ...value }),
  reasoningEffort: (spec, value) => {
    reasoning(spec).effort = choice(ReasoningConfig_Effort, value, "reasoningEffort");
  },
  includeReasoning: (spec, value) => (reasoning(spec).includeReasoning = value),

  priority: (spec, value) => (routing(spec).priority = choice(Priority, value, "priority")),
  latency: (spec, value) => (latency(spec).level = choice(LatencyTarget_Level, value, "latency")),
  maxTimeToFirstTokenMs: (spec, value) => (latency(spec).timeToFirstToken = durationFromMs(value)),
  maxTotalTimeMs: (spec, value) => (latency(spec).total = durationFromMs(value)),
  locality: (spec, value) => (routing(spec).locality = choice(Locality, value, "locality")),
  strategy: (spec, value) => (routing(spec).strategy = value),
  affinityKey: (spec, value) => (routing(spec).affinityKey = value),
  costWeight: (spec, value) => (cost(spec).weight = value),
  maxCostMicroUsd: (spec, value) => (cost(spec).maxCostMicroUsd = BigInt(value)),
  maxQueueTimeMs: (spec, value) => (routing(spec).maxQueueTime = durationFromMs(value)),
  maxAttempts: (spec, value) => (failover(spec).maxAttempts = value),
  allowDifferentModel: (spec, value) => (failover(spec).allowDifferentModel = value),
  minimumSeam: (spec, value) => (failover(spec).minimumSeam = choice(SeamQuality, value, "minimumSeam")),
  hedgeAfterMs: (spec, value) => (failover(spec).hedgeAfter = durationFromMs(value)),
  cache: (spec, value) => (cache(spec).mode = choice(CachePolicy_Mode, value, "cache")),
  cacheTtlMs: (spec, value) => (cache(spec).ttl = durationFromMs(value)),

  sessionId: (spec, value) => (spec.sessionId = value),
  endUserId: (spec, value) => (spec.endUserId = value),
  metadata: (spec, value) => (spec.metadata = { ...value }),
};

/** The names of all options of a specification. */
export const SPEC_OPTIONS: readonly string[] = Object.keys(FIELDS);

function toolChoice(value: string): ToolChoice {
  const mode = { auto: ToolChoice_Mode.AUTO, none: ToolChoice_Mode.NONE, required: ToolChoice_Mode.REQUIRED }[value];
  return create(ToolChoiceSchema, {
    choice: mode === undefined ? { case: "functionName", value } : { case: "mode", value: mode },
  });
}

function responseFormat(value: NonNullable<SpecOptions["responseFormat"]>): ResponseFormat {
  if (value === "text") return create(ResponseFormatSchema, { format: { case: "text", value: {} } });
  if (value === "json_object") return create(ResponseFormatSchema, { format: { case: "jsonObject", value: {} } });
  if ("grammar" in value) return create(ResponseFormatSchema, { format: { case: "grammar", value: value.grammar } });
  const { schema, name = "", strict = false } = value;
  const schemaJson = JSON.stringify(schema as JsonObject);
  return create(ResponseFormatSchema, { format: { case: "jsonSchema", value: { schemaJson, name, strict } } });
}
