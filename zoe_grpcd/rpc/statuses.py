"""Errors leave here: one table from the classes of `core.errors` to gRPC codes, and the details that go along."""

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2, error_details_pb2, status_pb2

from zoe.inference.v1 import error_pb2
from zoe_grpcd.core import errors
from zoe_grpcd.core.errors import ZoeError
from zoe_grpcd.core.outcome import Attempt
from zoe_grpcd.rpc import encode

DOMAIN = "zoe-grpcd"
CODES: dict[type[ZoeError], grpc.StatusCode] = {
    errors.InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ContextTooLong: grpc.StatusCode.INVALID_ARGUMENT,
    errors.BackendRejected: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ModelNotFound: grpc.StatusCode.NOT_FOUND,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.NoCapableBackend: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.BackendLost: grpc.StatusCode.ABORTED,
    errors.CutShort: grpc.StatusCode.ABORTED,
    errors.TooLate: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Exhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unimplemented: grpc.StatusCode.UNIMPLEMENTED,
    errors.Misconfigured: grpc.StatusCode.INTERNAL,
}
# Core refuses trailers beyond 8 KiB at random, and base64 and percent-encoding blow these up; the contract promises 4.
MAX_BYTES = 4000
# A client gives a call up so much before its deadline passes here, at most (seconds): the wire rounds what is left of it
# up, and here it counts from when it is read, which a busy machine does late.
EARLY = 0.1
MAX_MESSAGE = 600  # bytes of UTF-8, as all lengths here
MAX_FIELD, MAX_TEXT = 120, 200
# How many violations and attempts are kept: the most that fit.
KEPT = (64, 48, 36, 27, 20, 15, 11, 8, 6, 4, 3, 2, 1, 0)
# What a NOT_FOUND may be about, by the key in the error's metadata.
RESOURCES = ("model", "backend", "service")

Trailers = tuple[tuple[str, str | bytes], ...]


def code_of(error: ZoeError) -> grpc.StatusCode:
    """The gRPC code of an error, by the nearest class in the table."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), grpc.StatusCode.INTERNAL)


def outcome_of(error: BaseException, time_remaining: float | None) -> tuple[str, str, tuple[Attempt, ...]]:
    """How a call that raised this ended: name of its code, reason, attempts. Also for what is no error of ours."""
    if isinstance(error, ZoeError):
        return code_of(error).name, error.reason, error.attempts
    if not isinstance(error, asyncio.CancelledError | grpc.aio.InternalError | GeneratorExit):
        return "INTERNAL", ZoeError.reason, ()
    if is_late(time_remaining):
        return "DEADLINE_EXCEEDED", errors.TooLate.reason, ()
    return "CANCELLED", "", ()


def is_late(time_remaining: float | None) -> bool:
    """Whether what cut a call off was its deadline: the client's clock may strike a little earlier than ours."""
    return time_remaining is not None and time_remaining <= EARLY


def message_of(error: ZoeError) -> str:
    """The error's text, bounded, without spaces around it: Node drops a header that has some."""
    return _bounded(error.message, MAX_MESSAGE).strip()


def trailers_of(error: ZoeError) -> Trailers:
    """The status with its details, and when to come back, as trailing metadata."""
    trailers: list[tuple[str, str | bytes]] = [
        ("grpc-status-details-bin", status_of(error).SerializeToString())
    ]
    if error.retry_after is not None and isinstance(error, errors.Unavailable):
        trailers.append(("grpc-retry-pushback-ms", str(round(error.retry_after * 1000))))
    if error.attempts:
        trailers.append(("x-zoe-backend", encode.header(error.attempts[-1].deployment.backend)))
    return tuple(trailers)


def status_of(error: ZoeError) -> status_pb2.Status:
    """The google.rpc.Status of an error, below 4 KiB: the first violations and the last attempts, as many as fit."""
    return next(status for status in _ever_shorter(error) if status.ByteSize() <= MAX_BYTES)


def _ever_shorter(error: ZoeError) -> Iterator[status_pb2.Status]:
    """The status with ever fewer details; the last one has none but the reason."""
    for kept in KEPT:
        yield _status(error, _details(error, kept))
    yield _status(error, [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)])


def _status(error: ZoeError, details: list[Any]) -> status_pb2.Status:
    code = getattr(code_pb2, code_of(error).name)
    return status_pb2.Status(code=code, message=message_of(error), details=map(_packed, details))


def _details(error: ZoeError, kept: int) -> list[Any]:
    details = [_info(error), *_violations(error, kept), *_resource(error)]
    if error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.SetInParent()  # 0 is an answer too
        encode.put_duration(retry, "retry_delay", error.retry_after)
        details.append(retry)
    if error.reason in ("RATE_LIMITED", "BUDGET_EXCEEDED"):
        details.append(_quota(error))
    if error.attempts:
        sent = error.output_tokens_sent if isinstance(error, errors.BackendLost) else 0
        detail = error_pb2.AttemptsDetail(output_tokens_sent=sent)
        for attempt in error.attempts[max(0, len(error.attempts) - kept) :]:
            encode.put_attempt(detail.attempts.add(), attempt)
        details.append(detail)
    return details


def _quota(error: ZoeError) -> error_details_pb2.QuotaFailure:
    """Whose limit was reached: that of the caller's key, or those of the backends."""
    name = error.metadata.get("key")
    subject = "backend" if name is None else f"key:{_bounded(name, MAX_TEXT)}"
    text = _bounded(error.message, MAX_TEXT)
    violation = error_details_pb2.QuotaFailure.Violation(subject=subject, description=text)
    return error_details_pb2.QuotaFailure(violations=[violation])


def _info(error: ZoeError) -> error_details_pb2.ErrorInfo:
    metadata = {key: _bounded(value, MAX_TEXT) for key, value in error.metadata.items()}
    return error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)


def _violations(error: ZoeError, kept: int) -> list[Any]:
    """What is wrong with which field, or what nobody here can do."""
    found = [
        (_bounded(v.field, MAX_FIELD), _bounded(v.description, MAX_TEXT)) for v in error.violations[:kept]
    ]
    if isinstance(error, errors.NoCapableBackend):
        failure = error_details_pb2.PreconditionFailure
        lacks = [failure.Violation(type="CAPABILITY", subject=f, description=d) for f, d in found]
        return [failure(violations=lacks)]
    if found and code_of(error) is grpc.StatusCode.INVALID_ARGUMENT:
        bad = error_details_pb2.BadRequest
        return [bad(field_violations=[bad.FieldViolation(field=f, description=d) for f, d in found])]
    return []


def _resource(error: ZoeError) -> list[Any]:
    """What was not found, if that is what happened."""
    if code_of(error) is not grpc.StatusCode.NOT_FOUND:
        return []
    return [
        error_details_pb2.ResourceInfo(
            resource_type=kind, resource_name=_bounded(error.metadata[kind], MAX_TEXT)
        )
        for kind in RESOURCES
        if kind in error.metadata
    ][:1]


def _bounded(text: str, size: int) -> str:
    """At most so many bytes of UTF-8, cut between two characters; "?" for half a surrogate pair, which has none."""
    return text.encode(errors="replace")[:size].decode(errors="ignore")


def _packed(message: Any) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
