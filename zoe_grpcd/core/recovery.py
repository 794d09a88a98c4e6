"""What follows from a failed attempt. Two tables: what a fault does to the backend, and what it makes of the request."""

from collections.abc import Sequence
from dataclasses import dataclass

from zoe_grpcd.core.domain import Attempt, Outcome
from zoe_grpcd.core.errors import (
    BackendFailed,
    BackendRejected,
    ContextTooLong,
    Exhausted,
    Fault,
    Misconfigured,
    ModelNotFound,
    UpstreamError,
    Violation,
    ZoeError,
)
from zoe_grpcd.core.phases import Signal


@dataclass(frozen=True, slots=True)
class After:
    """What follows from one fault before the first token."""

    outcome: Outcome = Outcome.FAILED
    counts: bool = True  # against the deployment's success rate
    signal: Signal | None = None  # what it shows of the backend
    nudge: bool = True  # look at the backend at once
    exclude: bool = True  # do not try this deployment again for this request
    again: bool = False  # if nobody else can, the same one may be tried once more after a pause


AFTER: dict[Fault, After] = {
    Fault.REFUSED: After(signal=Signal.REFUSED),
    Fault.TIMEOUT: After(Outcome.TIMEOUT),
    Fault.LOADING: After(counts=False, signal=Signal.LOADING, exclude=False),
    Fault.RATE_LIMITED: After(counts=False, nudge=False, again=True),
    Fault.OVERLOADED: After(counts=False, again=True),
    Fault.SERVER: After(again=True),
    Fault.LOAD_FAILED: After(),
    Fault.MODEL_MISSING: After(counts=False),
    Fault.UNAUTHORIZED: After(),
    Fault.CONTEXT_TOO_LONG: After(Outcome.REJECTED, counts=False, nudge=False),
    Fault.REJECTED: After(Outcome.REJECTED, counts=False, nudge=False),
    Fault.CUT: After(again=True),
}


def ends_request(fault: Fault) -> bool:
    """Trying elsewhere would only repeat the caller's mistake."""
    return fault is Fault.REJECTED


def pauses(
    attempts: Sequence[Attempt], faults: Sequence[UpstreamError], retry_delay: float
) -> dict[tuple[str, str], float]:
    """The (backend, model) that may be tried once more, and after how many seconds."""
    last = {(a.deployment.backend, a.deployment.model): f for a, f in zip(attempts, faults, strict=True)}
    return {key: f.retry_after or retry_delay for key, f in last.items() if AFTER[f.fault].again}


def failure_of(
    attempts: tuple[Attempt, ...], faults: Sequence[UpstreamError], retry_delay: float
) -> ZoeError:
    """The error of a request whose attempts all failed before the first token; the last fault speaks for them.

    `retry_delay` is what a client should wait where no backend said more, seconds.
    """
    last = faults[-1]
    text = f"{attempts[-1].deployment.backend}: {last.message}"
    if len(attempts) > 1:
        text = f"all {len(attempts)} attempts failed, the last on {text}"
    wait = max([retry_delay, *(f.retry_after for f in faults if f.retry_after is not None)])
    match last.fault:
        case Fault.REJECTED:
            return BackendRejected(text, attempts=attempts)
        case Fault.CONTEXT_TOO_LONG:
            violation = Violation("spec.messages", last.message)
            return ContextTooLong(text, attempts=attempts, violations=(violation,))
        case Fault.UNAUTHORIZED:
            return Misconfigured(f"a backend does not accept its api_key: {text}", attempts=attempts)
        case Fault.MODEL_MISSING:
            return ModelNotFound(text, metadata={"model": attempts[-1].deployment.model}, attempts=attempts)
        case Fault.RATE_LIMITED | Fault.OVERLOADED:
            cause = "RATE_LIMITED" if last.fault is Fault.RATE_LIMITED else "QUEUE_FULL"
            return Exhausted(text, cause=cause, retry_after=wait, attempts=attempts)
    causes = {Fault.TIMEOUT: "BACKEND_TIMEOUT", Fault.LOAD_FAILED: "MODEL_LOAD_FAILED"}
    return BackendFailed(
        text, cause=causes.get(last.fault, "BACKEND_FAILED"), retry_after=wait, attempts=attempts
    )
