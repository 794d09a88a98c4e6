"""The last requests with what was decided for each, and what became of it: a ring of fixed size.

Rule: an entry keeps names and numbers, never a prompt, an answer or a key. When its request is over they are packed into
bytes: ten thousand entries are 11 MB then, and the garbage collector does not look into them. Many are packed at once,
which takes half of what it takes one by one: the processor has the code at hand.
"""

import json
import logging
import marshal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any, Protocol

from pydantic_core import to_json

from zoe_grpcd.core.answer import FinishReason, Usage
from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.decision import Candidate, Decision, Estimate, Reason, ScoreTerm
from zoe_grpcd.core.outcome import Attempt, Completed, Outcome, Timings
from zoe_grpcd.core.statistics import Statistics
from zoe_grpcd.core.tally import Ended, Series
from zoe_grpcd.core.trace import Trace

log = logging.getLogger(__name__)

ROUTE = "Route"
CAPACITY = 10_000
# Requests that are over wait for so many others to be packed with: 0.2 ms of work.
LOOSE = 16
# Of a decision that was explained: the chosen one and the next best.
CANDIDATES = 4
LONGEST_EXPLANATION = 2000

_head = attrgetter(
    "method",
    "arrived",
    "seconds",
    "code",
    "error_reason",
    "request_id",
    "key_name",
    "decision_id",
    "model",
    "backend",
    "intent",
)
_SERVED_BY = ("deployment.model", "deployment.backend", "kind", "local")
_candidate = attrgetter(*_SERVED_BY, "eligible", "score")
_decision = attrgetter(
    "requested_model", "intent", "strategy", "reason._value_", "decide_seconds", "config_generation"
)
_attempt = attrgetter(
    *_SERVED_BY,
    "number",
    "outcome._value_",
    "start_offset",
    "duration",
    "error_reason",
    "http_status",
    "output_tokens",
)
_usage = attrgetter(*(field.name for field in fields(Usage)))
_timings = attrgetter(*(field.name for field in fields(Timings)))


class Visit(Protocol):
    """What a key holds while a request of it runs."""

    def begin(self, ask: Ask, *, sends: bool) -> None:
        """Narrows the request to what the key may do, and lets it in; `sends` False: it is not counted.

        Raises Exhausted if the key has reached a limit.
        """
        ...

    def close(self) -> None:
        """The request is over, however it ended."""
        ...


class Entry:
    """One request. `code`: name of its gRPC status; empty while it runs. `error_reason`: empty with OK.

    `model` and `backend` are those of the latest decision, empty before there is one. `arrived` is unix seconds.
    `seconds`: how long it took, once it is over.
    """

    __slots__ = (
        "_attempts",
        "_began",
        "_begun",
        "_decisions",
        "_end",
        "_log",
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
        "seconds",
        "trace",
        "visit",
    )

    def __init__(self, number: int, method: str, arrived: float, log: "DecisionLog | None" = None) -> None:
        self.number = number
        self.method = method
        self.arrived = arrived
        self.request_id = self.key_name = self.code = self.error_reason = ""
        self.visit: Visit | None = None
        self.decision_id = self.model = self.backend = self.intent = ""
        self.seconds = 0.0
        self.trace: Trace | None = None  # that it belongs to
        self._log = log
        self._began = self._begun = log.now() if log else 0.0
        self._told = False
        self._packed = b""
        self._decisions: tuple[Decision, ...] = ()
        self._attempts: tuple[Attempt, ...] = ()
        self._end: Completed | None = None

    def hear(self, item: Decision | Attempt) -> None:
        """A decision was made for it, of which the latest counts, under the id that the caller was told; or an attempt
        has failed.
        """
        if isinstance(item, Attempt):
            self._attempts = (*self._attempts, item)
            return
        self._decisions = (*self._decisions, item)
        deployment = item.chosen.deployment
        self.model, self.backend, self.intent = deployment.model, deployment.backend, item.intent
        if not self._told:
            self.decision_id = item.id
        if self._log is not None:
            self._begun = now = self._log.now()
            self._log.statistics.decided(item, now)

    def told(self, decision: Decision) -> None:
        """The caller has this decision."""
        self._told, self.decision_id = True, decision.id

    def completed(self, end: Completed) -> None:
        """The answer came to its end."""
        self._end, self._attempts = end, end.attempts

    def ended(self, code: str, error_reason: str = "", attempts: tuple[Attempt, ...] = ()) -> None:
        """The call is over."""
        self.code, self.error_reason = code, error_reason
        if self._log is not None:
            now = self._log.now()
            self.seconds = now - self._began
            self._attempts = attempts or self._attempts
            if code != "OK" and self.method != ROUTE and len(self._decisions) > len(self._attempts):
                self._attempts = (*self._attempts, self._broken_off(now))
            self._log.over(self, self._counted(), now)
            self._log = self.trace = None

    def _broken_off(self, now: float) -> Attempt:
        """The attempt that ran when the request was ended by something else."""
        chosen, number = self._decisions[-1].chosen, len(self._attempts) + 1
        begun, took = self._begun - self._began, now - self._begun
        return Attempt(number, chosen.deployment, chosen.kind, chosen.local, Outcome.CANCELLED, begun, took)

    def _counted(self) -> Ended | None:
        """What counts of it; None: a Route is no more than its decision."""
        if self.method == ROUTE:
            return None
        series = Series(self.backend, self.model, self.key_name)
        return Ended(series, self.code, self.error_reason, self._decisions, self._attempts, self._end)

    def pack(self) -> None:
        """Makes bytes of what it knows; it is over."""
        if self._packed:
            return
        end, decided = self._end, tuple[Any, ...]()
        if self._decisions:
            latest = self._decisions[-1]
            kept = tuple([_candidate_kept(candidate) for candidate in latest.candidates[:CANDIDATES]])
            decided = (_decision(latest), latest.explanation[:LONGEST_EXPLANATION], kept)
        ending = (
            (end.model, end.finish._value_, _usage(end.usage), _timings(end.timings), end.cost_usd)
            if end
            else ()
        )
        self._packed = marshal.dumps((decided, tuple(map(_attempt, self._attempts)), ending))
        self._decisions, self._attempts, self._end = (), (), None

    def dump(self) -> str:
        """What is kept of it over a restart; it is over."""
        self.pack()
        kept = [_head(self), self._unpacked()]
        try:
            return to_json(kept, inf_nan_mode="constants").decode()  # a third of the time
        except ValueError:  # half a surrogate pair
            return json.dumps(kept)

    @classmethod
    def restored(cls, number: int, text: str) -> "Entry":
        """What `dump` gave. Raises ValueError if it is not that."""
        try:
            (method, arrived, seconds, *names), parts = json.loads(text)
            entry = cls(number, str(method), float(arrived))
            entry.seconds = float(seconds)
            entry.code, entry.error_reason, entry.request_id, entry.key_name, *names = map(str, names)
            entry.decision_id, entry.model, entry.backend, entry.intent = names
            entry._packed = marshal.dumps(parts)
            entry.decision(), entry.completion()  # reads all of it
        except (TypeError, IndexError, KeyError, AttributeError) as error:
            raise ValueError(f"it is no decision: {error}") from None
        return entry

    @property
    def failed(self) -> bool:
        """It is over, and not as it should be."""
        return self.code not in ("", "OK")

    # ---------------------------------------------------------------------------------------- what comes out again

    def decision(self) -> Decision | None:
        """The latest decision, with the candidates that were kept; None: it failed before there was one."""
        if self._decisions:
            return self._of_now(self._decisions[-1])
        if not (decided := self._unpacked()[0]):
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

    def _of_now(self, latest: Decision) -> Decision:
        kept, text = latest.candidates[:CANDIDATES], latest.explanation[:LONGEST_EXPLANATION]
        if latest.id == self.decision_id and kept == latest.candidates and text == latest.explanation:
            return latest  # a copy takes as long as a line of the log
        return replace(latest, id=self.decision_id, candidates=kept, explanation=text)

    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt that is over, in order."""
        if not self._packed:
            return self._attempts
        return tuple(
            Attempt(number, Deployment(model, backend, ""), kind, local, Outcome(outcome), *rest)
            for model, backend, kind, local, number, outcome, *rest in self._unpacked()[1]
        )

    def completion(self) -> Completed | None:
        """The end of the answer; None: there was none."""
        if not self._packed:
            return self._end
        if not (end := self._unpacked()[2]):
            return None
        model, finish, usage, timings, cost = end
        return Completed(model, FinishReason(finish), Usage(*usage), Timings(*timings), self.attempts(), cost)

    def _unpacked(self) -> tuple[Any, ...]:
        return tuple(marshal.loads(self._packed)) if self._packed else ((), (), ())  # noqa: S302 - it is our own


def _candidate_kept(candidate: Candidate) -> tuple[Any, ...]:
    return (
        _candidate(candidate),
        tuple(map(tuple, candidate.terms)),
        tuple([reason._value_ for reason in candidate.reasons]),
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
    """The ring, and the set of those that run. `clock` gives unix seconds, `now` those of the statistics' clock."""

    def __init__(
        self,
        capacity: int = CAPACITY,
        clock: Callable[[], float] = time.time,
        now: Callable[[], float] = time.monotonic,
        statistics: Statistics | None = None,
    ) -> None:
        self._entries: deque[Entry] = deque(maxlen=capacity)
        self._capacity = capacity
        self._clock = clock
        self._count = capacity  # those of earlier daemons have lower numbers
        self.now = now
        self.statistics = statistics or Statistics(now(), time.process_time)
        self.running: set[Entry] = set()
        self._loose: list[Entry] = []  # that are over, and not packed yet
        self.listeners: list[Callable[[Entry], None]] = []

    def begin(self, method: str) -> Entry:
        """A request has arrived; the oldest one is forgotten if there are too many."""
        self._count += 1
        entry = Entry(self._count, method, self._clock(), self)
        self._entries.append(entry)
        self.running.add(entry)
        return entry

    def over(self, entry: Entry, ended: Ended | None, now: float) -> None:
        """A request is over: counted, and told to the listeners, who may read it but not fail it."""
        self.running.discard(entry)
        self._loose.append(entry)
        if len(self._loose) >= LOOSE:
            for loose in self._loose:
                loose.pack()
            self._loose.clear()
        try:
            if ended is not None:
                self.statistics.ended(ended, now)
            for listener in self.listeners:
                listener(entry)
        except Exception:
            log.exception("a bug in what is told of requests that are over")

    def restore(self, entry: Entry) -> None:
        """Takes in a request of an earlier daemon; the latest first. Those that came since stand before it."""
        if len(self._entries) < self._capacity:
            self._entries.appendleft(entry)

    def newest_first(self, before: int | None = None) -> list[Entry]:
        """All entries, or those with a lower number than `before`."""
        return [entry for entry in reversed(self._entries) if before is None or entry.number < before]
