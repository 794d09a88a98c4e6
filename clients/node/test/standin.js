// A server of the inference and health services on this machine that says what a test wants said.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyPack, durationFromMs } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";

import { ErrorInfoSchema, RetryInfoSchema } from "../dist/gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../dist/gen/google/rpc/status_pb.js";
import { Health, HealthCheckResponse_ServingStatus as Serving } from "../dist/gen/grpc_health/v1/health_pb.js";
import { InferenceService } from "zoe-grpc-client/inference";

/** Answers each call with the next of `script`: a text, a refusal, or undefined for nothing at all; the last one stays. */
export class StandIn {
  script = [];
  requests = [];
  #watches = new Set();
  #health = Serving.SERVING;
  #server = new grpc.Server();

  static async start(t, { watched = true } = {}) {
    const started = new StandIn();
    const server = started.#server;
    server.addService(...implementation(InferenceService, { complete: (...call) => started.#complete(...call) }));
    if (watched) server.addService(...implementation(Health, { watch: (call) => started.#watch(call) }));
    const port = await new Promise((resolve, reject) => {
      const bound = (error, port) => (error ? reject(error) : resolve(port));
      server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), bound);
    });
    started.address = `127.0.0.1:${port}`;
    t.after(() => server.forceShutdown());
    return started;
  }

  /** Tells everybody who watches, now and later. */
  becomes(serving) {
    this.#health = serving ? Serving.SERVING : Serving.NOT_SERVING;
    for (const watch of this.#watches) watch.write({ status: this.#health });
  }

  end() {
    this.#server.forceShutdown();
  }

  #complete(call, callback) {
    this.requests.push(call);
    const next = this.script.length > 1 ? this.script.shift() : this.script[0];
    if (next === undefined) return;
    if (typeof next !== "string") return callback(next);
    const parts = [{ part: { case: "text", value: next } }];
    callback(null, { message: { parts }, model: "tiny", decision: { chosen: { backend: this.address } } });
  }

  #watch(call) {
    this.#watches.add(call);
    call.on("cancelled", () => this.#watches.delete(call));
    call.write({ status: this.#health });
  }
}

/** A refusal as the daemon gives it, with advice on when to come back. */
export function refusal(code, reason, retryAfterMs) {
  const info = { reason, domain: "zoe-grpcd", metadata: {} };
  const details = [anyPack(ErrorInfoSchema, create(ErrorInfoSchema, info))];
  if (retryAfterMs !== undefined) {
    const retry = create(RetryInfoSchema, { retryDelay: durationFromMs(retryAfterMs) });
    details.push(anyPack(RetryInfoSchema, retry));
  }
  const status = create(StatusSchema, { code, message: reason, details });
  const metadata = new grpc.Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from(toBinary(StatusSchema, status)));
  return { code, details: reason, metadata };
}

function implementation(service, methods) {
  const described = service.methods.filter(({ localName }) => localName in methods);
  const definition = described.map((method) => [
    method.localName,
    {
      path: `/${service.typeName}/${method.name}`,
      requestStream: false,
      responseStream: method.methodKind === "server_streaming",
      requestDeserialize: (bytes) => fromBinary(method.input, bytes),
      responseSerialize: (message) => Buffer.from(toBinary(method.output, create(method.output, message))),
    },
  ]);
  return [Object.fromEntries(definition), methods];
}
