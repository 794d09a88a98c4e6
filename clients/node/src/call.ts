/** One call: its requests, headers and time, from what the caller gave. */

import { randomUUID } from "node:crypto";

import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";

import {
  type CompleteRequest,
  CompleteRequestSchema,
  type RouteRequest,
  RouteRequestSchema,
  type StreamCompleteRequest,
  StreamCompleteRequestSchema,
} from "./gen/zoe/inference/v1/inference_service_pb.js";
import type { InferenceSpec } from "./gen/zoe/inference/v1/spec_pb.js";
import type { Messages } from "./messages.js";
import type { StreamOptions } from "./options.js";
import { Patience } from "./patience.js";
import type { CallOptions } from "./rpc.js";
import { type Connection, positive } from "./settings.js";
import { specOf } from "./spec.js";

/** One call, ready to be made. */
export class Call {
  readonly spec: InferenceSpec;
  readonly requestId: string;
  readonly patience: Patience;
  readonly signal: AbortSignal | undefined;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #explain: boolean;
  readonly #streaming: NonNullable<Parameters<typeof create<typeof StreamCompleteRequestSchema>>[1]>;

  constructor(messages: Messages | undefined, given: StreamOptions, defaults: Connection) {
    const { timeoutMs, signal, headers, requestId, explain, maxCoalesceMs, progress, spec, ...what } = given;
    this.spec = ready(messages, spec, what);
    this.requestId = requestId || randomUUID();
    this.patience = new Patience(positive(timeoutMs ?? defaults.timeoutMs, "timeoutMs"), defaults.maxRetries);
    this.signal = signal;
    this.#headers = { "x-request-id": this.requestId, ...headers };
    this.#explain = explain ?? false;
    const maxCoalesce = maxCoalesceMs === undefined ? undefined : durationFromMs(maxCoalesceMs);
    this.#streaming = { options: { progress: progress ?? false, ...(maxCoalesce && { maxCoalesce }) } };
  }

  /** How the next try is made: with what is left of the time. */
  options(): CallOptions {
    return {
      timeoutMs: this.patience.remainingMs,
      headers: this.#headers,
      ...(this.signal && { signal: this.signal }),
    };
  }

  routeRequest(): RouteRequest {
    return create(RouteRequestSchema, { spec: this.spec, explain: this.#explain });
  }

  completeRequest(): CompleteRequest {
    return create(CompleteRequestSchema, { requestId: this.requestId, spec: this.spec, explain: this.#explain });
  }

  streamRequest(): StreamCompleteRequest {
    const { requestId, spec } = this;
    return create(StreamCompleteRequestSchema, { requestId, spec, explain: this.#explain, ...this.#streaming });
  }
}

function ready(messages: Messages | undefined, spec: InferenceSpec | undefined, what: object): InferenceSpec {
  if (!spec) {
    if (messages === undefined) throw new TypeError("messages: a prompt, a list of messages, or a spec is needed");
    return specOf(messages, what);
  }
  const [other] = messages === undefined ? Object.keys(what) : ["messages"];
  if (other) throw new TypeError(`spec: leaves no room for ${other}; set it in the spec`);
  return spec;
}
