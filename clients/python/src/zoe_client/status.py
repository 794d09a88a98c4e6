"""From the status of a failed call to its error.

The rule: ErrorInfo.reason decides, else the status code, which is all there is when the daemon was not reached.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar, cast

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as rpc
from google.rpc.status_pb2 import Status

from zoe.inference.v1.error_pb2 import AttemptsDetail
from zoe_client import errors

DOMAIN = "zoe-grpcd"
Detail = TypeVar("Detail", bound=Message)

BY_REASON: dict[str, type[errors.ZoeError]] = {
    "BAD_REQUEST": errors.InvalidRequest,
    "MODEL_NOT_FOUND": errors.ModelNotFound,
    "NO_CAPABLE_BACKEND": errors.NoCapableBackend,
    "CONTEXT_TOO_LONG": errors.ContextTooLong,
    "BACKEND_REJECTED": errors.BackendRejected,
    "NO_HEALTHY_BACKEND": errors.NoHealthyBackend,
    "BACKEND_FAILED": errors.BackendFailed,
    "BACKEND_TIMEOUT": errors.BackendTimeout,
    "MODEL_LOAD_FAILED": errors.ModelLoadFailed,
    "BACKEND_LOST": errors.BackendLost,
    "RATE_LIMITED": errors.RateLimited,
    "BUDGET_EXCEEDED": errors.BudgetExceeded,
    "QUEUE_FULL": errors.QueueFull,
    "QUEUE_TIMEOUT": errors.QueueTimeout,
    "DEADLINE_UNREACHABLE": errors.DeadlineUnreachable,
    "SLOW_CONSUMER": errors.SlowConsumer,
    "CREDENTIALS_MISSING": errors.Unauthenticated,
    "CREDENTIALS_INVALID": errors.Unauthenticated,
    "PERMISSION_DENIED": errors.PermissionDenied,
    "SHUTTING_DOWN": errors.ShuttingDown,
    "INTERNAL": errors.Internal,
    "NOT_IMPLEMENTED": errors.Unimplemented,
    "NOT_FOUND": errors.NotFound,
    "DEADLINE_EXCEEDED": errors.DeadlineExceeded,
}

BY_CODE: dict[grpc.StatusCode, type[errors.ZoeError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidRequest,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: errors.NoCapableBackend,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.ABORTED: errors.BackendLost,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.ResourceExhausted,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.CANCELLED: errors.Cancelled,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    grpc.StatusCode.UNIMPLEMENTED: errors.Unimplemented,
    grpc.StatusCode.INTERNAL: errors.Internal,
}


class _FailedCall(Protocol):
    """What the grpc.RpcError of a call tells, in either stack."""

    def code(self) -> grpc.StatusCode: ...
    def details(self) -> str | None: ...
    def trailing_metadata(self) -> Iterable[tuple[str, str | bytes]] | None: ...


def from_rpc_error(error: grpc.RpcError, request_id: str = "") -> errors.ZoeError:
    """Turns the error of a gRPC call, also one of a raw stub, into the ZoeError that it means."""
    failure = _failure(cast("_FailedCall", error), request_id)
    kind = BY_REASON.get(failure.reason) or BY_CODE.get(failure.code, errors.ZoeError)
    translated = kind(failure)
    translated.__cause__ = error
    return translated


def _failure(error: _FailedCall, request_id: str) -> errors.Failure:
    status = _status(error)
    info = _detail(status, rpc.ErrorInfo)
    info = info if info.domain == DOMAIN else rpc.ErrorInfo()
    tried = _detail(status, AttemptsDetail)
    retry = _detail(status, rpc.RetryInfo)
    return errors.Failure(
        code=error.code(),
        message=error.details() or "",
        reason=info.reason,
        metadata=dict(info.metadata),
        violations=tuple(_violations(status)),
        retry_after=retry.retry_delay.ToTimedelta().total_seconds()
        if retry.HasField("retry_delay")
        else None,
        attempts=tuple(tried.attempts),
        tokens_sent=tried.output_tokens_sent,
        request_id=_detail(status, rpc.RequestInfo).request_id or request_id,
    )


def _status(error: _FailedCall) -> Status:
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin" and isinstance(value, bytes):
            return Status.FromString(value)
    return Status()


def _detail(status: Status, kind: type[Detail]) -> Detail:
    """Returns the detail of that kind, of which there is one at most; an empty one if there is none."""
    detail = kind()
    for packed in status.details:
        if packed.Unpack(detail):
            break
    return detail


def _violations(status: Status) -> Iterator[errors.Violation]:
    for wrong in _detail(status, rpc.BadRequest).field_violations:
        yield errors.Violation(wrong.field, wrong.description)
    for lack in _detail(status, rpc.PreconditionFailure).violations:
        yield errors.Violation(lack.subject, lack.description)
    for excess in _detail(status, rpc.QuotaFailure).violations:
        yield errors.Violation(excess.subject, excess.description)
