"""One call: its requests, headers and time, from the arguments of either client."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoe.inference.v1.inference_service_pb2 import (
    CompleteRequest,
    RouteRequest,
    StreamCompleteRequest,
    StreamOptions,
)
from zoe.inference.v1.routing_pb2 import SEAM_QUALITY_RESTART
from zoe.inference.v1.spec_pb2 import InferenceSpec
from zoe_client.options import Messages
from zoe_client.retry import OnWait, Patience
from zoe_client.spec import build_spec
from zoe_client.values import duration, expect, seconds, text

Headers = tuple[tuple[str, str], ...]
LONGEST = 1e9  # seconds of a timeout: 30 years
HOW = ("timeout", "request_id", "explain", "headers", "max_coalesce", "progress")


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for every call of a client.

    Attributes:
        headers: Request metadata, the key included.
        timeout: Seconds for a call.
        retries: Most repetitions of a call that the daemon asks to repeat later.
        on_wait: Hears of each of them; None: gRPC makes those that it can, without a word.
    """

    headers: Headers
    timeout: float
    retries: int
    on_wait: OnWait | None = None

    @property
    def grpc_repeats(self) -> bool:
        """Whether gRPC itself repeats what was UNAVAILABLE."""
        return self.retries > 0 and self.on_wait is None


@dataclass(frozen=True, slots=True)
class Call:
    """One call, ready to be made."""

    spec: InferenceSpec
    request_id: str
    explain: bool
    headers: Headers
    patience: Patience
    options: StreamOptions

    def route_request(self) -> RouteRequest:
        """Returns the request of Route."""
        return RouteRequest(spec=self.spec, explain=self.explain)

    def complete_request(self) -> CompleteRequest:
        """Returns the request of Complete."""
        return CompleteRequest(request_id=self.request_id, spec=self.spec, explain=self.explain)

    def stream_request(self) -> StreamCompleteRequest:
        """Returns the request of StreamComplete."""
        return StreamCompleteRequest(
            request_id=self.request_id, spec=self.spec, explain=self.explain, options=self.options
        )

    def refuse_restart(self) -> None:
        """Raises ValueError if text of the answer may have to be taken back."""
        if self.spec.routing.failover.minimum_seam == SEAM_QUALITY_RESTART:
            raise ValueError("minimum_seam: an answer that may start anew can only be read as events")


def prepare(messages: Messages | None, options: Mapping[str, Any], defaults: Defaults) -> Call:
    """Returns the call that the arguments describe.

    Raises:
        TypeError: An argument is missing, unknown or of the wrong type; it is named.
        ValueError: An argument has a wrong value; it is named.
    """
    how = {name: options[name] for name in HOW if options.get(name) is not None}
    what = {name: value for name, value in options.items() if name not in HOW}
    request_id = text(how.get("request_id") or str(uuid.uuid4()), "request_id")
    own = expect(how.get("headers", {}), Mapping, "headers", "a dict")
    return Call(
        spec=_spec(messages, what),
        request_id=request_id,
        explain=how.get("explain", False),
        headers=(*defaults.headers, ("x-request-id", request_id), *own.items()),
        patience=Patience(
            positive_timeout(how.get("timeout", defaults.timeout)), defaults.retries, defaults.on_wait
        ),
        options=StreamOptions(
            max_coalesce=duration(how["max_coalesce"], "max_coalesce") if "max_coalesce" in how else None,
            progress=how.get("progress", False),
        ),
    )


def positive_timeout(value: Any) -> float:
    """Returns the timeout if it is a positive number of seconds; gRPC takes one of 280 years for one that has passed."""
    if seconds(value, "timeout") <= 0:
        raise ValueError("timeout: has to be more than 0 seconds")
    return min(float(value), LONGEST)


def _spec(messages: Messages | None, options: dict[str, Any]) -> InferenceSpec:
    spec = options.pop("spec", None)
    if spec is None:
        if messages is None:
            raise TypeError("messages: a prompt, a list of messages, or a spec is needed")
        return build_spec(messages, options)
    others = [name for name, value in options.items() if value is not None]
    if messages is not None or others:
        raise TypeError(f"spec: leaves no room for {others[0] if others else 'messages'}; set it in the spec")
    ready: InferenceSpec = expect(spec, InferenceSpec, "spec", "an InferenceSpec")
    return ready
