"""Errors of calls: one class for each thing that a caller can do about it.

The rule: a class stands for what to do next, so code that catches it need not look at texts or codes.

    ZoeError
    ├── InvalidRequest            change the request; `violations` names each field
    │   ├── ContextTooLong        shorten the prompt
    │   └── BackendRejected       the backend's own words
    ├── NotFound
    │   └── ModelNotFound         `metadata["did_you_mean"]`
    ├── NoCapableBackend          ask for less, or add a backend
    ├── Unavailable               try again later
    │   ├── NoHealthyBackend
    │   ├── BackendFailed         `attempts` tells who was tried
    │   │   ├── BackendTimeout
    │   │   └── ModelLoadFailed
    │   └── ShuttingDown
    ├── BackendLost               the answer broke off after `tokens_sent` tokens; ask anew if that is all right
    ├── ResourceExhausted         try again after `retry_after` seconds, if there is such a number
    │   ├── RateLimited
    │   │   └── BudgetExceeded
    │   ├── QueueFull
    │   │   └── QueueTimeout
    │   ├── DeadlineUnreachable   give it more time
    │   └── SlowConsumer          read faster
    ├── DeadlineExceeded
    ├── Cancelled
    ├── Unauthenticated
    ├── PermissionDenied
    ├── Unimplemented
    ├── IncompleteStream          the stream ended well but without `completed`
    └── Internal                  a bug of the daemon; its log has `request_id`
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc

from zoe.inference.v1.decision_pb2 import Attempt


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong with a request: `field` is its path (or the subject of a precondition or quota)."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Failure:
    """All that is known of a failed call. ZoeError has each of these as an attribute of its own."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    retry_after: float | None = None
    attempts: tuple[Attempt, ...] = ()
    tokens_sent: int = 0
    request_id: str = ""


class ZoeError(Exception):
    """A call failed.

    Attributes:
        code: Status code.
        reason: Name of a zoe.inference.v1.ErrorReason without its prefix; empty if the daemon was not reached.
        message: The text of the status.
        metadata: Metadata of the ErrorInfo.
        violations: What is wrong with the request, all at once.
        retry_after: Seconds to wait before trying again; None if the daemon gave no such advice.
        attempts: What was tried, in order.
        tokens_sent: Tokens of the answer that had been sent.
        request_id: Finds the request in the daemon's log.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.code = failure.code
        self.reason = failure.reason
        self.message = failure.message
        self.metadata = failure.metadata
        self.violations = failure.violations
        self.retry_after = failure.retry_after
        self.attempts = failure.attempts
        self.tokens_sent = failure.tokens_sent
        self.request_id = failure.request_id

    def __str__(self) -> str:
        extra = (
            f"{each.field}: {each.description}"
            for each in self.violations
            if each.description not in self.message
        )
        return "; ".join([f"{self.reason or self.code.name}: {self.message}", *extra])


class InvalidRequest(ZoeError):
    """The request is wrong; `violations` names each field."""


class ContextTooLong(InvalidRequest):
    """The prompt fits no candidate; see `metadata["prompt_tokens"]` and `metadata["max_context_tokens"]`."""


class BackendRejected(InvalidRequest):
    """The backend refused the request; the message has its words."""


class NotFound(ZoeError):
    """There is no such thing."""


class ModelNotFound(NotFound):
    """There is no such model or alias; `metadata["did_you_mean"]` may have the right name."""


class NoCapableBackend(ZoeError):
    """No backend can do it; `violations` says what lacks."""


class Unavailable(ZoeError):
    """It does not work now and may work later."""


class NoHealthyBackend(Unavailable):
    """No backend is healthy at present."""


class BackendFailed(Unavailable):
    """Every attempt failed before the first token."""


class BackendTimeout(BackendFailed):
    """Every attempt took too long before the first token."""


class ModelLoadFailed(BackendFailed):
    """The model could not be loaded."""


class ShuttingDown(Unavailable):
    """The daemon is draining."""


class BackendLost(ZoeError):
    """The answer broke off after `tokens_sent` tokens."""


class ResourceExhausted(ZoeError):
    """There is no room for the request now."""


class RateLimited(ResourceExhausted):
    """The key, or every able backend, is over its rate."""


class BudgetExceeded(RateLimited):
    """The key's budget is spent."""


class QueueFull(ResourceExhausted):
    """Too many requests wait already."""


class QueueTimeout(QueueFull):
    """The request waited as long as it may."""


class DeadlineUnreachable(ResourceExhausted):
    """The deadline cannot be met; `retry_after` says when it could."""


class SlowConsumer(ResourceExhausted):
    """The stream was not read fast enough."""


class DeadlineExceeded(ZoeError):
    """The time of the call is over."""


class Cancelled(ZoeError):
    """The call was cancelled."""


class Unauthenticated(ZoeError):
    """The key is missing or not valid."""


class PermissionDenied(ZoeError):
    """The key may not do this."""


class Unimplemented(ZoeError):
    """The daemon does not offer the call."""


class IncompleteStream(ZoeError):
    """The stream ended with OK but without `completed`."""


class Internal(ZoeError):
    """A bug of the daemon."""
