"""What follows from a failed attempt. Two tables: what a fault does to the backend, and what it makes of the request."""

from collections.abc import Sequence
from dataclasses import dataclass

from zoe_grpcd.core.breaker import Whose
from zoe_grpcd.core.continuation import Draft
from zoe_grpcd.core.errors import (
    BackendFailed,
    BackendLost,
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
from zoe_grpcd.core.key import Key
from zoe_grpcd.core.outcome import Attempt, Outcome
from zoe_grpcd.core.phases import Signal


@dataclass(frozen=True, slots=True)
class After:
    """What follows from one fault, before the first token and later."""

    outcome: Outcome = Outcome.FAILED
    counts: bool = True  # against the deployment's success rate
    signal: Signal | None = None  # what it shows of the backend
    nudge: bool = True  # look at the backend at once
    again: bool = False  # if nobody else can, the same one may be tried once more after a pause
    leaves: bool = False  # it may have died, and be started again
    whose: Whose | None = None  # against whom it counts (`core.breaker`); None: nobody


AFTER: dict[Fault, After] = {
    Fault.REFUSED: After(signal=Signal.REFUSED, leaves=True, whose=Whose.SERVER),
    Fault.TIMEOUT: After(Outcome.TIMEOUT, leaves=True, whose=Whose.EITHER),
    Fault.LOADING: After(counts=False, signal=Signal.LOADING),
    Fault.RATE_LIMITED: After(counts=False, nudge=False, again=True),
    Fault.OVERLOADED: After(counts=False, again=True, whose=Whose.EITHER),
    Fault.SERVER: After(again=True, whose=Whose.EITHER),
    Fault.LOAD_FAILED: After(whose=Whose.MODEL),
    Fault.MODEL_MISSING: After(counts=False, whose=Whose.MODEL),
    Fault.UNAUTHORIZED: After(whose=Whose.SERVER),
    Fault.CONTEXT_TOO_LONG: After(Outcome.REJECTED, counts=False, nudge=False),
    Fault.REJECTED: After(Outcome.REJECTED, counts=False, nudge=False),
    Fault.CUT: After(again=True, leaves=True, whose=Whose.EITHER),
}


def pauses(
    attempts: Sequence[Attempt], faults: Sequence[UpstreamError], retry_delay: float, chance: float = 1.0
) -> dict[Key, float]:
    """The (backend, model) that may be tried once more, and after how many seconds.

    As long as the backend asks for, else by full jitter: a part, `chance`, of a delay that doubles with each failure that
    brought nothing.
    """
    tried = [(attempt.deployment.backend, attempt.deployment.model) for attempt in attempts]
    last = dict(zip(tried, faults, strict=True))
    vain = [key for key, attempt in zip(tried, attempts, strict=True) if attempt.outcome is not Outcome.LOST]
    return {
        key: fault.retry_after or retry_delay * 2 ** max(0, vain.count(key) - 1) * chance
        for key, fault in last.items()
        if AFTER[fault.fault].again
    }


_FORGOTTEN = 0.1  # what is left of a retry that was long ago


class RetryBudget:
    """How much work may be done twice: `floor` times, and `share` of the requests, both in about `half_life` seconds.

    So an outage that fails everything does not double the load on who is left.
    """

    def __init__(self, share: float = 0.2, floor: float = 10.0, half_life: float = 10.0) -> None:
        self._share = share
        self._floor = floor
        self._half_life = half_life
        self._requests = 0.0
        self._retries = 0.0
        self._at = 0.0

    def earn(self, now: float) -> None:
        """A request has come."""
        self._decay(now)
        self._requests += 1.0

    def spend(self, now: float) -> bool:
        """Takes a retry out of the budget; False: it is used up."""
        self._decay(now)
        if self._retries + 1.0 > self._floor + self._share * self._requests + _FORGOTTEN:
            return False
        self._retries += 1.0
        return True

    def _decay(self, now: float) -> None:
        left = 0.5 ** (max(0.0, now - self._at) / self._half_life)
        self._requests, self._retries, self._at = self._requests * left, self._retries * left, now


def lost_of(attempts: tuple[Attempt, ...], faults: Sequence[UpstreamError], draft: Draft) -> BackendLost:
    """The error of a request whose answer had begun, and that nobody can go on with."""
    lost = [n for n, attempt in enumerate(attempts) if attempt.outcome is Outcome.LOST][-1]
    tokens = draft.tokens + draft.thought
    name, why = attempts[lost].deployment.backend, faults[lost].message
    text = f"backend {name} failed after {tokens} tokens: {why}"
    if lost < len(attempts) - 1:
        text += (
            f"; nobody went on with it, the last was {attempts[-1].deployment.backend}: {faults[-1].message}"
        )
    return BackendLost(text, attempts=attempts, output_tokens_sent=tokens)


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
