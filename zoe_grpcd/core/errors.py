"""Every error that may leave the daemon, and every fault of a backend. Nothing else is raised on purpose.

ZoeError                      class = what the caller can do about it; `reason` is the contract's ErrorReason
|- InvalidRequest             BAD_REQUEST: mend the fields in `violations`
|- ContextTooLong             CONTEXT_TOO_LONG: shorten the prompt
|- BackendRejected            BACKEND_REJECTED: the backend says that the request is wrong
|- ModelNotFound              MODEL_NOT_FOUND: use another name, `did_you_mean`
|- Unauthenticated            CREDENTIALS_MISSING or CREDENTIALS_INVALID: bring a key
|- PermissionDenied           PERMISSION_DENIED: the key may not do this
|- NotFound                   NOT_FOUND: something an operator named does not exist
|- NoCapableBackend           NO_CAPABLE_BACKEND: nobody here can do it
|- Unavailable                try again after `retry_after`
|  |- NoHealthyBackend        NO_HEALTHY_BACKEND
|  |- BackendFailed           BACKEND_FAILED, BACKEND_TIMEOUT or MODEL_LOAD_FAILED: every attempt failed early
|  `- ShuttingDown            SHUTTING_DOWN
|- CutShort                   SHUTTING_DOWN: it ran when the time of a drain was over; ask another daemon, or later
|- Misconfigured              BACKEND_REJECTED: the operator must mend its key for a backend
|- BackendLost                BACKEND_LOST: failed after the first token
|- TooLate                    DEADLINE_EXCEEDED: took longer than the daemon allows; set a deadline
|- Exhausted                  wait: RATE_LIMITED, BUDGET_EXCEEDED, QUEUE_FULL, QUEUE_TIMEOUT, DEADLINE_UNREACHABLE,
|                             SLOW_CONSUMER
`- Unimplemented              NOT_IMPLEMENTED: a later version

UpstreamError                 one attempt on one backend failed; the router decides what follows
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from zoe_grpcd.core.outcome import Attempt


@dataclass(frozen=True, slots=True)
class Violation:
    """A field of the request, by its proto path, and what is wrong with it."""

    field: str
    description: str


class ZoeError(Exception):
    """An expected error. The text is for people; everything dynamic in it is in `metadata` too."""

    reason = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        attempts: tuple[Attempt, ...] = (),
        violations: tuple[Violation, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after
        self.attempts = attempts
        self.violations = violations


class InvalidRequest(ZoeError):
    """The caller's mistake, all violations at once."""

    reason = "BAD_REQUEST"


class ContextTooLong(ZoeError):
    """The prompt fits into no candidate's window."""

    reason = "CONTEXT_TOO_LONG"


class BackendRejected(ZoeError):
    """A backend refused the request as wrong; its text is bounded."""

    reason = "BACKEND_REJECTED"


class Misconfigured(ZoeError):
    """A backend does not accept our credentials: nothing that the caller could mend."""

    reason = "BACKEND_REJECTED"


class ModelNotFound(ZoeError):
    """No such model or alias."""

    reason = "MODEL_NOT_FOUND"


class Unauthenticated(ZoeError):
    """No key, or none that is known. `cause` is the contract's reason."""

    def __init__(self, message: str, *, cause: str) -> None:
        super().__init__(message)
        self.reason = cause


class PermissionDenied(ZoeError):
    """The key is known, and may not do this."""

    reason = "PERMISSION_DENIED"


class NotFound(ZoeError):
    """Something that an operator named, a backend say, does not exist."""

    reason = "NOT_FOUND"


class NoCapableBackend(ZoeError):
    """No deployment can do what is asked for, whatever its health."""

    reason = "NO_CAPABLE_BACKEND"


class Unavailable(ZoeError):
    """Nothing wrong with the request; try again later."""


class NoHealthyBackend(Unavailable):
    """Every deployment that could serve it is unhealthy."""

    reason = "NO_HEALTHY_BACKEND"


class BackendFailed(Unavailable):
    """Every attempt failed before the first token. `cause` is one of the three reasons of the contract."""

    def __init__(
        self, message: str, *, cause: str, retry_after: float, attempts: tuple[Attempt, ...]
    ) -> None:
        super().__init__(message, retry_after=retry_after, attempts=attempts)
        self.reason = cause


class ShuttingDown(Unavailable):
    """The daemon drains."""

    reason = "SHUTTING_DOWN"


class CutShort(ZoeError):
    """The daemon ends while the request runs."""

    reason = "SHUTTING_DOWN"


class BackendLost(ZoeError):
    """The backend failed after the first token."""

    reason = "BACKEND_LOST"

    def __init__(self, message: str, *, attempts: tuple[Attempt, ...], output_tokens_sent: int) -> None:
        super().__init__(message, metadata={"output_tokens_sent": str(output_tokens_sent)}, attempts=attempts)
        self.output_tokens_sent = output_tokens_sent


class Exhausted(ZoeError):
    """A limit was reached. `cause` is the contract's reason."""

    def __init__(
        self,
        message: str,
        *,
        cause: str,
        retry_after: float | None = None,
        attempts: tuple[Attempt, ...] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, metadata=metadata, retry_after=retry_after, attempts=attempts)
        self.reason = cause


class TooLate(ZoeError):
    """A request without a deadline took longer than the daemon allows."""

    reason = "DEADLINE_EXCEEDED"


class Unimplemented(ZoeError):
    """The contract has it, this version does not."""

    reason = "NOT_IMPLEMENTED"


class Fault(StrEnum):
    """What went wrong upstream, as far as what follows depends on it."""

    REFUSED = "REFUSED"  # no connection, or reset before any byte of an answer
    TIMEOUT = "TIMEOUT"  # connected, but silent for too long
    LOADING = "LOADING"  # it says that it is loading
    RATE_LIMITED = "RATE_LIMITED"  # 429
    OVERLOADED = "OVERLOADED"  # 503 with a full queue
    SERVER = "SERVER"  # any other 5xx, or an answer that is no answer
    LOAD_FAILED = "LOAD_FAILED"  # the model could not be loaded
    MODEL_MISSING = "MODEL_MISSING"  # it does not serve this model (any more)
    UNAUTHORIZED = "UNAUTHORIZED"  # our credentials are wrong: the operator's fault
    CONTEXT_TOO_LONG = "CONTEXT_TOO_LONG"
    REJECTED = "REJECTED"  # 400, 422: the caller's fault
    CUT = "CUT"  # the stream ended, or broke, without a finish reason


class UpstreamError(Exception):
    """One attempt failed. `message` is bounded and holds no secret; `retry_after` is the backend's own word.

    `gone`: no connection could be made, so that there was no server at all.
    """

    def __init__(
        self,
        fault: Fault,
        message: str,
        *,
        http_status: int = 0,
        retry_after: float | None = None,
        gone: bool = False,
    ) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message[:500]
        self.http_status = http_status
        self.retry_after = retry_after
        self.gone = gone
