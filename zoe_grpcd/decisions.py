"""The last requests with what was decided for each, and what became of it: a ring of fixed size.

Rule: an entry keeps names and numbers, never a prompt, an answer or a key. When its request is over they are packed into
bytes: ten thousand entries are 11 MB then, the garbage collector does not look into them, and a request pays 5 us.
"""

import marshal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any

from zoe_grpcd.core.domain import (
    Attempt,
    Candidate,
    Completed,
    Decision,
    Deployment,
    Estimate,
    FinishReason,
    Outcome,
    Reason,
    ScoreTerm,
    Timings,
    Usage,
)

CAPACITY = 10_000
# Of a decision that was explained: the chosen one and the next best.
CANDIDATES = 4
LONGEST_EXPLANATION = 2000

_SERVED_BY = ("deployment.model", "deployment.backend", "kind", "local")
_candidate = attrgetter(*_SERVED_BY, "eligible", "score")
_decision = attrgetter(
    "requested_model", "intent", "strategy", "reason.value", "decide_seconds", "config_generation"
)
_attempt = attrgetter(
    *_SERVED_BY,
    "number",
    "outcome.value",
    "start_offset",
    "duration",
    "error_reason",
    "http_status",
    "output_tokens",
)
_usage = attrgetter(*(field.name for field in fields(Usage)))
_timings = attrgetter(*(field.name for field in fields(Timings)))


class Entry:
    """One request. `code`: name of its gRPC status; empty while it runs. `error_reason`: empty with OK.

    `model` and `backend` are those of the latest decision, empty before there is one. `arrived` is unix seconds.
    """

    __slots__ = (
        "_attempts",
        "_decided",
        "_end",
        "_packed",
        "_told",
        "arrived",
        "backend",
        "code",
        "decision_id",
        "error_reason",
        "intent",
        "key_name",
        "method",
        "model",
        "number",
        "request_id",
    )

    def __init__(self, number: int, method: str, arrived: float) -> None:
        self.number = number
        self.method = method
        self.arrived = arrived
        self.request_id = self.key_name = self.code = self.error_reason = ""
        self.decision_id = self.model = self.backend = self.intent = ""
        self._told = False
        self._packed = b""
        self._decided: tuple[Any, ...] = ()
        self._attempts: tuple[Any, ...] = ()
        self._end: tuple[Any, ...] = ()

    def decided(self, decision: Decision) -> None:
        """A decision was made for it: the latest one counts, under the id that the caller was told."""
        kept = tuple(_candidate_kept(candidate) for candidate in decision.candidates[:CANDIDATES])
        self._decided = (_decision(decision), decision.explanation[:LONGEST_EXPLANATION], kept)
        deployment = decision.chosen.deployment
        self.model, self.backend, self.intent = deployment.model, deployment.backend, decision.intent
        if not self._told:
            self.decision_id = decision.id

    def told(self, decision: Decision) -> None:
        """The caller has this decision."""
        self._told, self.decision_id = True, decision.id

    def completed(self, end: Completed) -> None:
        """The answer came to its end."""
        self._end = (end.model, end.finish.value, _usage(end.usage), _timings(end.timings), end.cost_usd)
        self._attempts = tuple(map(_attempt, end.attempts))

    def ended(self, code: str, error_reason: str = "", attempts: tuple[Attempt, ...] = ()) -> None:
        """The call is over."""
        self.code, self.error_reason = code, error_reason
        if attempts:
            self._attempts = tuple(map(_attempt, attempts))
        self._packed = marshal.dumps((self._decided, self._attempts, self._end))
        self._decided = self._attempts = self._end = ()

    @property
    def failed(self) -> bool:
        """It is over, and not as it should be."""
        return self.code not in ("", "OK")

    # ---------------------------------------------------------------------------------------- what comes out again

    def decision(self) -> Decision | None:
        """The latest decision, with the candidates that were kept; None: it failed before there was one."""
        decided, _, _ = self._parts()
        if not decided:
            return None
        (requested, intent, strategy, reason, seconds, generation), explanation, kept = decided
        candidates = tuple(_candidate_of(row) for row in kept)
        return Decision(
            candidates[0],
            candidates,
            requested,
            intent,
            strategy,
            Reason(reason),
            explanation,
            id=self.decision_id,
            decide_seconds=seconds,
            config_generation=generation,
        )

    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt, in order."""
        return tuple(
            Attempt(number, Deployment(model, backend, ""), kind, local, Outcome(outcome), *rest)
            for model, backend, kind, local, number, outcome, *rest in self._parts()[1]
        )

    def completion(self) -> Completed | None:
        """The end of the answer; None: there was none."""
        _, _, end = self._parts()
        if not end:
            return None
        model, finish, usage, timings, cost = end
        return Completed(model, FinishReason(finish), Usage(*usage), Timings(*timings), self.attempts(), cost)

    def _parts(self) -> tuple[Any, ...]:
        if self._packed:
            return tuple(marshal.loads(self._packed))  # noqa: S302 - it is our own
        return self._decided, self._attempts, self._end


def _candidate_kept(candidate: Candidate) -> tuple[Any, ...]:
    return (
        _candidate(candidate),
        tuple(map(tuple, candidate.terms)),
        tuple(reason.value for reason in candidate.reasons),
        tuple(candidate.estimate) if candidate.estimate else None,
    )


def _candidate_of(kept: tuple[Any, ...]) -> Candidate:
    (model, backend, kind, local, eligible, score), terms, reasons, estimate = kept
    return Candidate(
        Deployment(model, backend, ""),
        kind,
        local,
        eligible,
        score,
        tuple(ScoreTerm(*term) for term in terms),
        tuple(map(Reason, reasons)),
        Estimate(*estimate) if estimate else None,
    )


class DecisionLog:
    """The ring. `clock` gives unix seconds."""

    def __init__(self, capacity: int = CAPACITY, clock: Callable[[], float] = time.time) -> None:
        self._entries: deque[Entry] = deque(maxlen=capacity)
        self._clock = clock
        self._count = 0

    def begin(self, method: str) -> Entry:
        """A request has arrived; the oldest one is forgotten if there are too many."""
        self._count += 1
        entry = Entry(self._count, method, self._clock())
        self._entries.append(entry)
        return entry

    def newest_first(self, before: int | None = None) -> list[Entry]:
        """All entries, or those with a lower number than `before`; numbers count requests from 1."""
        return [entry for entry in reversed(self._entries) if before is None or entry.number < before]
