"""Errors leave here: one table from the classes of `core.errors` to gRPC codes, and the details that go along."""

from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2, error_details_pb2, status_pb2

from zoe.inference.v1 import error_pb2
from zoe_grpcd.core import errors
from zoe_grpcd.core.errors import ZoeError
from zoe_grpcd.rpc import encode

DOMAIN = "zoe-grpcd"
CODES: dict[type[ZoeError], grpc.StatusCode] = {
    errors.InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ContextTooLong: grpc.StatusCode.INVALID_ARGUMENT,
    errors.BackendRejected: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ModelNotFound: grpc.StatusCode.NOT_FOUND,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.NoCapableBackend: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.BackendLost: grpc.StatusCode.ABORTED,
    errors.Exhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unimplemented: grpc.StatusCode.UNIMPLEMENTED,
    errors.Misconfigured: grpc.StatusCode.INTERNAL,
}
# Core refuses trailers beyond 8 KiB at random; the contract promises 4.
MAX_BYTES = 4000
MAX_MESSAGE = 600

Trailers = tuple[tuple[str, str | bytes], ...]


def code_of(error: ZoeError) -> grpc.StatusCode:
    """The gRPC code of an error, by the nearest class in the table."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), grpc.StatusCode.INTERNAL)


def trailers_of(error: ZoeError) -> Trailers:
    """The status with its details, and when to come back, as trailing metadata."""
    status = status_of(error)
    trailers: list[tuple[str, str | bytes]] = [("grpc-status-details-bin", status.SerializeToString())]
    if error.retry_after is not None and isinstance(error, errors.Unavailable):
        trailers.append(("grpc-retry-pushback-ms", str(round(error.retry_after * 1000))))
    if error.attempts:
        trailers.append(("x-zoe-backend", error.attempts[-1].deployment.backend))
    return tuple(trailers)


def status_of(error: ZoeError) -> status_pb2.Status:
    """The google.rpc.Status of an error, below 4 KiB: attempts, then violations, are cut from the end."""
    return next(s for s in _cut_shorter(error) if s.ByteSize() <= MAX_BYTES)


def _cut_shorter(error: ZoeError) -> Iterator[status_pb2.Status]:
    """The status with ever fewer details; the last one has none but the reason."""
    code = code_of(error)
    for kept in (16, 8, 3, 1):
        yield _status(error, code, _details(error, code, kept))
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    yield _status(error, code, [_packed(info)])


def _status(error: ZoeError, code: grpc.StatusCode, details: list[AnyMessage]) -> status_pb2.Status:
    return status_pb2.Status(
        code=getattr(code_pb2, code.name), message=error.message[:MAX_MESSAGE], details=details
    )


def _details(error: ZoeError, code: grpc.StatusCode, kept: int) -> list[AnyMessage]:
    metadata = {key: value[:200] for key, value in error.metadata.items()}
    messages: list[Any] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)]
    violations = [(v.field[:120], v.description[:200]) for v in error.violations[:kept]]
    if code is grpc.StatusCode.INVALID_ARGUMENT and violations:
        fields = [error_details_pb2.BadRequest.FieldViolation(field=f, description=d) for f, d in violations]
        messages.append(error_details_pb2.BadRequest(field_violations=fields))
    if isinstance(error, errors.NoCapableBackend):
        failures = [
            error_details_pb2.PreconditionFailure.Violation(type="CAPABILITY", subject=f, description=d)
            for f, d in violations
        ]
        messages.append(error_details_pb2.PreconditionFailure(violations=failures))
    if error.retry_after is not None:
        messages.append(error_details_pb2.RetryInfo(retry_delay=encode.duration(error.retry_after)))
    if error.reason in ("RATE_LIMITED", "BUDGET_EXCEEDED"):
        quota = error_details_pb2.QuotaFailure.Violation(subject="backend", description=error.message[:200])
        messages.append(error_details_pb2.QuotaFailure(violations=[quota]))
    if error.attempts:
        sent = error.output_tokens_sent if isinstance(error, errors.BackendLost) else 0
        tried = [encode.attempt(attempt) for attempt in error.attempts[-kept:]]
        messages.append(error_pb2.AttemptsDetail(attempts=tried, output_tokens_sent=sent))
    return [_packed(message) for message in messages]


def _packed(message: Any) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
