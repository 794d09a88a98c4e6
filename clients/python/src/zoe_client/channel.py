"""Channel options of both clients: retries, load balancing, keepalive and limits.

The rule: only what is safe is repeated by itself, which is UNAVAILABLE before the first message of an answer.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from zoe_client.target import is_local

MIB = 1024 * 1024

Options = list[tuple[str, Any]]


def channel_options(target: str, *, retries: bool = True) -> Options:
    """Returns the channel options for a target.

    Args:
        target: Where the daemon is.
        retries: Whether gRPC repeats what is safe. Without, it repeats only what no server has seen.
    """
    # A request larger than the retry buffer is not retried; the default of 256 KiB is less than one image.
    options: Options = [
        ("grpc.service_config", service_config(health_check=not is_local(target), retries=retries)),
        ("grpc.max_receive_message_length", 32 * MIB),
        ("grpc.per_rpc_retry_buffer_size", 8 * MIB),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 5000),
    ]
    if is_local(target):
        # A proxy of the environment cannot reach this machine.
        return [*options, ("grpc.enable_http_proxy", 0)]
    return [
        *options,
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.max_pings_without_data", 0),
    ]


@cache
def service_config(*, health_check: bool, retries: bool = True) -> str:
    """Returns the service config as JSON.

    Args:
        health_check: Whether replicas that are not serving are left out. With a single server it would hide the
            server's own words about what is wrong.
        retries: Whether gRPC repeats what was UNAVAILABLE.
    """
    config = json.loads(files("zoe_client").joinpath("service_config.json").read_text())
    if not health_check:
        del config["healthCheckConfig"]
    if not retries:
        del config["methodConfig"], config["retryThrottling"]
    return json.dumps(config)
