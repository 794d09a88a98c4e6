"""The calls that the daemon is measured with, each as a load, and one real call beforehand that shows they are right."""

import time

import grpc

from zoe.inference.v1 import message_pb2, routing_pb2, spec_pb2
from zoe.inference.v1.inference_service_pb2 import (
    CompleteRequest,
    CompleteResponse,
    RouteRequest,
    RouteResponse,
    StreamCompleteRequest,
    StreamCompleteResponse,
)

from .grpcload import GrpcLoad
from .processes import BenchmarkError
from .upstream import STREAM_TOKENS

SERVICE = "/zoe.inference.v1.InferenceService"
PROMPT = "What is the capital of France?"
SETTLE_S = 15.0  # for the daemon to have seen its backends


def spec(model: str) -> spec_pb2.InferenceSpec:
    """Returns a short question to a model; an empty name leaves the choice to the daemon."""
    text = message_pb2.ContentPart(text=PROMPT)
    question = message_pb2.Message(role=message_pb2.ROLE_USER, parts=[text])
    target = routing_pb2.Target(model=model) if model else routing_pb2.Target(auto=routing_pb2.AutoTarget())
    return spec_pb2.InferenceSpec(target=target, messages=[question])


def route(port: int, model: str) -> GrpcLoad:
    """Returns the load of `Route`."""
    return GrpcLoad(
        port, f"{SERVICE}/Route", RouteRequest(spec=spec(model)).SerializeToString(), no_tokens, 0
    )


def complete(port: int, model: str) -> GrpcLoad:
    """Returns the load of `Complete` with answers of one token."""
    message = CompleteRequest(spec=spec(model)).SerializeToString()
    return GrpcLoad(port, f"{SERVICE}/Complete", message, completed_tokens, 1)


def stream(port: int, model: str, tokens: int = STREAM_TOKENS) -> GrpcLoad:
    """Returns the load of `StreamComplete`."""
    message = StreamCompleteRequest(spec=spec(model)).SerializeToString()
    return GrpcLoad(port, f"{SERVICE}/StreamComplete", message, streamed_tokens, tokens)


def no_tokens(_: bytes) -> int:
    """Returns 0: a decision has no tokens."""
    return 0


def completed_tokens(message: bytes) -> int:
    """Returns the tokens of a CompleteResponse, as its usage counts them."""
    return CompleteResponse.FromString(message).usage.completion_tokens


def streamed_tokens(message: bytes) -> int:
    """Returns the tokens of a StreamCompleteResponse; only a delta has any."""
    return StreamCompleteResponse.FromString(message).delta.token_count


def verify(port: int, models: dict[str, int]) -> None:
    """Waits until each model is served, then asks it once by grpcio's own client and compares the text with what nginx has.

    Raises:
        BenchmarkError: an answer is not word for word the backend's.
    """
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for model, tokens in models.items():
            wait_until_served(channel, model)
            text = "".join(event.delta.text for event in events(channel, model))
            if text != "".join(f" t{n:03}" for n in range(tokens)):
                raise BenchmarkError(f"the daemon answered {text!r} for {model}")


def wait_until_served(channel: grpc.Channel, model: str) -> None:
    """Asks for a decision until there is one; SETTLE_S bounds it."""
    call = channel.unary_unary(
        f"{SERVICE}/Route",
        request_serializer=RouteRequest.SerializeToString,
        response_deserializer=RouteResponse.FromString,
    )
    limit = time.monotonic() + SETTLE_S
    while True:
        try:
            call(RouteRequest(spec=spec(model)), timeout=5)
            return
        except grpc.RpcError as error:
            if time.monotonic() > limit:
                raise BenchmarkError(f"the daemon does not serve {model}: {error}") from error
        time.sleep(0.1)


def events(channel: grpc.Channel, model: str) -> list[StreamCompleteResponse]:
    """Returns the whole answer of a model."""
    call = channel.unary_stream(
        f"{SERVICE}/StreamComplete",
        request_serializer=StreamCompleteRequest.SerializeToString,
        response_deserializer=StreamCompleteResponse.FromString,
    )
    return list(call(StreamCompleteRequest(spec=spec(model)), timeout=30))
