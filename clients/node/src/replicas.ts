/**
 * Round robin over the replicas that say they are serving.
 *
 * grpc-js has no health check of its own for `healthCheckConfig`, but lets a policy wrap its subchannels and call them
 * ill. The rule: a replica is well until its health service says otherwise, and one without such a service is well.
 */

import { fromBinary, toBinary, create } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";

import {
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus as Serving,
  HealthCheckResponseSchema,
} from "./gen/grpc_health/v1/health_pb.js";

const { experimental, connectivityState: State } = grpc;

/** The policy's name in a service config. Its one setting is `serviceName`. */
export const SERVING_ROUND_ROBIN = "zoe_serving_round_robin";

const ASK_AGAIN_MS = 1000;

type Helper = grpc.experimental.ChannelControlHelper;

class Config implements grpc.experimental.TypedLoadBalancingConfig {
  constructor(readonly serviceName: string) {}

  getLoadBalancerName(): string {
    return SERVING_ROUND_ROBIN;
  }

  toJsonObject(): object {
    return { [SERVING_ROUND_ROBIN]: { serviceName: this.serviceName } };
  }

  static createFromJson(config: { serviceName: string }): Config {
    return new Config(config.serviceName);
  }
}

/** One replica's connection, and what its health service says. */
class WatchedSubchannel extends experimental.BaseSubchannelWrapper {
  #watch: grpc.ClientReadableStream<Serving> | undefined;
  #again: NodeJS.Timeout | undefined;
  readonly #serviceName: string;
  readonly #followState = (): void => this.#follow();

  constructor(child: grpc.experimental.SubchannelInterface, serviceName: string) {
    super(child);
    this.#serviceName = serviceName;
    child.addConnectivityStateListener(this.#followState);
    this.#follow();
  }

  protected override destroy(): void {
    this.child.removeConnectivityStateListener(this.#followState);
    this.#stop();
    super.destroy();
  }

  #follow(): void {
    if (this.getConnectivityState() !== State.READY) this.#stop();
    else if (!this.#watch) this.#start();
  }

  #start(): void {
    const client = new grpc.Client("", grpc.credentials.createInsecure(), { channelOverride: this.getChannel() });
    const watch = client.makeServerStreamRequest(
      "/grpc.health.v1.Health/Watch",
      (service: string) =>
        Buffer.from(toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema, { service }))),
      (bytes) => fromBinary(HealthCheckResponseSchema, bytes).status,
      this.#serviceName,
    );
    this.#watch = watch;
    watch.on("data", (status: Serving) => this.setHealthy(status === Serving.SERVING));
    watch.on("error", (error: grpc.ServiceError) => {
      if (this.#watch === watch) this.#ended(error);
    });
  }

  #ended(error: grpc.ServiceError): void {
    this.setHealthy(true);
    if (error.code === grpc.status.UNIMPLEMENTED) return; // #watch stays, so that it is not asked again
    this.#watch = undefined;
    this.#again = setTimeout(() => this.#follow(), ASK_AGAIN_MS).unref();
  }

  #stop(): void {
    clearTimeout(this.#again);
    const watch = this.#watch;
    this.#watch = undefined;
    watch?.cancel();
    this.setHealthy(true);
  }
}

/** gRPC's round robin, over watched subchannels. */
class ServingRoundRobin implements grpc.experimental.LoadBalancer {
  #serviceName = "";
  readonly #roundRobin: grpc.experimental.ChildLoadBalancerHandler;

  constructor(helper: Helper) {
    const watching: Partial<Helper> = {
      createSubchannel: (address, args) =>
        new WatchedSubchannel(helper.createSubchannel(address, args), this.#serviceName),
      updateState: (state, picker, error) => helper.updateState(state, new UnwrappingPicker(picker), error),
    };
    this.#roundRobin = new experimental.ChildLoadBalancerHandler(
      experimental.createChildChannelControlHelper(helper, watching),
    );
  }

  updateAddressList(...update: Parameters<grpc.experimental.LoadBalancer["updateAddressList"]>): boolean {
    const [endpoints, config, options, note] = update;
    if (!(config instanceof Config)) return false;
    this.#serviceName = config.serviceName;
    const below = experimental.selectLbConfigFromList([{ round_robin: {} }]);
    return below !== null && this.#roundRobin.updateAddressList(endpoints, below, options, note);
  }

  exitIdle(): void {
    this.#roundRobin.exitIdle();
  }

  resetBackoff(): void {
    this.#roundRobin.resetBackoff();
  }

  destroy(): void {
    this.#roundRobin.destroy();
  }

  getTypeName(): string {
    return SERVING_ROUND_ROBIN;
  }
}

/** Picks what round robin picks, without its wrapper, as the policies above expect it. */
class UnwrappingPicker implements grpc.experimental.Picker {
  constructor(private readonly wrapped: grpc.experimental.Picker) {}

  pick(args: grpc.experimental.PickArgs): grpc.experimental.PickResult {
    const pick = this.wrapped.pick(args);
    return { ...pick, subchannel: pick.subchannel?.getRealSubchannel() ?? null };
  }
}

experimental.registerLoadBalancerType(SERVING_ROUND_ROBIN, ServingRoundRobin, Config);
