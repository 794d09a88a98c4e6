/** The client: one channel to the daemon, opened when it is first needed. */

import * as grpc from "@grpc/grpc-js";

import { Answer } from "./answer.js";
import { Call } from "./call.js";
import { channelOptions } from "./channel.js";
import { Health, HealthCheckResponse_ServingStatus as Serving } from "./gen/grpc_health/v1/health_pb.js";
import { AdminService } from "./gen/zoe/admin/v1/admin_service_pb.js";
import type { RouteDecision } from "./gen/zoe/inference/v1/decision_pb.js";
import { InferenceService } from "./gen/zoe/inference/v1/inference_service_pb.js";
import type { Messages } from "./messages.js";
import type { Options, StreamOptions } from "./options.js";
import { type CallOptions, type Stub, stubOf } from "./rpc.js";
import { type Connection, connectionOf, type ConnectionOptions } from "./settings.js";
import { Stream } from "./stream.js";

export type InferenceStub = Stub<typeof InferenceService>;
export type AdminStub = Stub<typeof AdminService>;

/** Talks to a daemon. A mistake in the options is a TypeError that names it. */
export class Client {
  readonly #connection: Connection;
  readonly #channels = new Map<string, grpc.Client>();

  /**
   * @param target Where the daemon is: `unix:/run/x.sock`, `host:port`, `dns:///name:port`, `ipv4:1.2.3.4:5,1.2.3.5:5`.
   *   Default: `$ZOE_GRPCD_TARGET`, else its unix socket, else 127.0.0.1:50051.
   */
  constructor(target?: string, options: ConnectionOptions = {}) {
    this.#connection = connectionOf(target, options);
  }

  /** Returns the whole answer to a prompt or a conversation, or throws a ZoeError. */
  async complete(messages?: Messages, options: Options = {}): Promise<Answer> {
    const call = new Call(messages, options, this.#connection);
    return new Answer(await repeatedly(call, () => this.inference.complete(call.completeRequest(), call.options())));
  }

  /** Returns the answer as it is generated. Nothing is sent before it is read. */
  stream(messages?: Messages, options: StreamOptions = {}): Stream {
    return new Stream(this.inference, new Call(messages, options, this.#connection));
  }

  /** Returns where a request would go, and why; nothing is sent to a backend. */
  async route(messages?: Messages, options: Options = {}): Promise<RouteDecision | undefined> {
    const call = new Call(messages, options, this.#connection);
    const found = await repeatedly(call, () => this.inference.route(call.routeRequest(), call.options()));
    return found.decision;
  }

  /** Whether the daemon, a service of it, or `model/ID` is serving. */
  async serving(service = "", options: CallOptions = {}): Promise<boolean> {
    const found = await this.#stub(Health, this.#connection.target).check({ service }, options);
    return found.status === Serving.SERVING;
  }

  /** The raw methods of zoe.inference.v1. */
  get inference(): InferenceStub {
    return this.#stub(InferenceService, this.#connection.target);
  }

  /** The raw methods of zoe.admin.v1, on a channel of its own. */
  get admin(): AdminStub {
    return this.#stub(AdminService, this.#connection.adminTarget);
  }

  /** Closes the channels. Without it the process goes on as long as the daemon keeps the connection. */
  close(): void {
    for (const channel of this.#channels.values()) channel.close();
    this.#channels.clear();
  }

  #stub<S extends Parameters<typeof stubOf>[0]>(service: S, target: string): Stub<S> {
    const { headers, timeoutMs } = this.#connection;
    return stubOf(service, this.#channel(target), { headers, timeoutMs });
  }

  #channel(target: string): grpc.Client {
    const { maxRetries, credentialsFor } = this.#connection;
    let channel = this.#channels.get(target);
    if (!channel) {
      channel = new grpc.Client(target, credentialsFor(target), channelOptions(target, maxRetries > 0));
      this.#channels.set(target, channel);
    }
    return channel;
  }
}

/** Tries until there is an answer, or no advice to try again. */
async function repeatedly<T>(call: Call, attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      await call.patience.after(error, call.signal);
    }
  }
}
