/**
 * Channel options: retries, load balancing, keepalive and limits.
 *
 * The rule: only what is safe is repeated by itself, which is UNAVAILABLE before the first message of an answer.
 */

import { readFileSync } from "node:fs";

import type { ChannelOptions } from "@grpc/grpc-js";

import { SERVING_ROUND_ROBIN } from "./replicas.js";
import { isLocal } from "./target.js";

const MIB = 1024 * 1024;
const SHIPPED = JSON.parse(readFileSync(new URL("service_config.json", import.meta.url), "utf8"));

/** The channel options for a target; without retries gRPC repeats only what no server has seen. */
export function channelOptions(target: string, retries: boolean): ChannelOptions {
  const options: ChannelOptions = {
    "grpc.service_config": serviceConfig(!isLocal(target), retries),
    "grpc.service_config_disable_resolution": 1,
    "grpc.max_receive_message_length": 32 * MIB,
    // a request larger than the retry buffer is not retried, and an image is large
    "grpc.per_rpc_retry_buffer_size": 8 * MIB,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 5000,
  };
  // a proxy of the environment cannot reach this machine
  if (isLocal(target)) return { ...options, "grpc.enable_http_proxy": 0 };
  return { ...options, "grpc.keepalive_time_ms": 30_000, "grpc.keepalive_timeout_ms": 10_000 };
}

/** The shipped service config. With a single server a health check would hide the server's own words. */
function serviceConfig(healthCheck: boolean, retries: boolean): string {
  const { loadBalancingConfig, healthCheckConfig, methodConfig, retryThrottling } = SHIPPED;
  const serving = { [SERVING_ROUND_ROBIN]: { serviceName: healthCheckConfig.serviceName } };
  return JSON.stringify({
    loadBalancingConfig: healthCheck ? [serving] : loadBalancingConfig,
    ...(retries ? { methodConfig, retryThrottling } : {}),
  });
}
