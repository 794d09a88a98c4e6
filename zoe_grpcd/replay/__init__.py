"""Decides recorded requests anew, with other settings or the same: no network, no backend, no clock.

Rule: both choices of a request are held against the same recorded moment. What a changed choice would have meant for
the load that later requests met is not known, and nobody pretends to know it.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.eligible import Question, question_of
from zoe_grpcd.core.errors import ZoeError
from zoe_grpcd.core.estimate import estimate
from zoe_grpcd.core.generation import Json
from zoe_grpcd.core.grants import catalogue, narrowed
from zoe_grpcd.core.key import Key
from zoe_grpcd.core.licence import Grant
from zoe_grpcd.core.scoring import choose
from zoe_grpcd.core.views import Snapshot
from zoe_grpcd.recording.lines import FORMAT, Deltas, ask_of
from zoe_grpcd.replay.overlay import Overlay
from zoe_grpcd.settings import Settings

EVERYTHING = Grant("")


@dataclass(frozen=True, slots=True)
class Expected:
    """What was to be expected of a choice: seconds to the last token, US dollars, chance of success (0..1)."""

    seconds: float
    usd: float
    success: float


@dataclass(frozen=True, slots=True)
class Redecided:
    """One request: whom it went to (backend, model), and whom it would go to; None: nobody could serve it.

    `intent_known` is False if its intent is none of these settings, so that it counts as chat.
    """

    time: float  # unix seconds
    before: Key | None
    after: Key | None
    expected_before: Expected | None
    expected_after: Expected | None
    intent_known: bool = True


class Moment(NamedTuple):
    """A recorded request: what was asked, the fleet at that moment, and whom it went to."""

    time: float
    ask: Ask
    intent: str
    fleet: Snapshot
    went_to: Key | None
    key: str = ""  # by name; empty: none was asked for
    budget: float | None = None  # US dollars that it had left; None: no limit


@dataclass(slots=True)
class Replay:
    """The lines of a recording, decided anew with the settings. To be iterated once; what it collects grows meanwhile.

    `unreadable` counts lines that are broken, or behind one that is, until the fleet is told anew; `formats` are those of
    other versions. Raises ValueError if there are lines, and none of them can be read.
    """

    lines: Iterable[bytes]
    settings: Settings
    unreadable: int = 0
    formats: set[str] = field(default_factory=set)
    unseen: set[Key] = field(default_factory=set)

    def __iter__(self) -> Iterator[Redecided]:
        """What would have become of each request, in their order."""
        state: tuple[Deltas, Overlay] | None = None
        begun = False
        for line in self.lines:
            record = _read(line)
            if "recording" in record:
                state = self._begun(record)
                begun = begun or state is not None
            moment = _moment(record, state[0]) if state and "fleet" in record else None
            if state and moment:
                yield self._redecided(moment, state[1])
            elif "recording" not in record:
                self.unreadable += 1
                state = None  # what had changed there is not known
        if not begun and (self.unreadable or self.formats):
            raise ValueError(self._what_it_is())

    def _begun(self, record: Json) -> tuple[Deltas, Overlay] | None:
        """All is new from here on; None: it is of another version."""
        if record["recording"] != FORMAT:
            self.formats.add(str(record["recording"]))
            return None
        configured = frozenset((backend, model) for backend, model in record.get("configured", ()))
        return Deltas(), Overlay(self.settings, configured, self.unseen)

    def _what_it_is(self) -> str:
        if self.formats:
            named = ", ".join(sorted(self.formats))
            return f"this is a recording of format {named}; this version reads format {FORMAT}"
        return "this is no recording of decisions, or its beginning is missing"

    def _redecided(self, moment: Moment, overlay: Overlay) -> Redecided:
        now = overlay.over(moment.fleet)
        question, after = self._choice(moment, now)
        return Redecided(
            moment.time,
            moment.went_to,
            after,
            _expected(moment.went_to, question, moment.fleet) if question else None,
            _expected(after, question, now) if question else None,
            question is None or question.resolution.intent == moment.intent,
        )

    def _choice(self, moment: Moment, snapshot: Snapshot) -> tuple[Question | None, Key | None]:
        """Who is chosen, and for which question; without a question: its model has no meaning with these settings."""
        rules, ask = self.settings.rules, moment.ask
        grants = (known.grant for known in self.settings.credentials if known.grant.name == moment.key)
        grant = next(grants, EVERYTHING)
        silent = sorted(snapshot.backends.keys() - _talkative(snapshot))
        try:
            allowed = catalogue(grant, snapshot.by_model)
            resolution = narrowed(rules.resolver.resolve(ask, allowed, silent), grant)
        except ZoeError:
            return None, None
        question = question_of(ask, resolution, drop_params=rules.policy.drop_params)
        question.budget = moment.budget
        choice = choose(question, snapshot, rules.policy)
        if choice is None:
            return question, None
        deployment = choice.options[choice.best].view.deployment
        return question, (deployment.backend, deployment.model)


def _talkative(snapshot: Snapshot) -> set[str]:
    return {view.deployment.backend for views in snapshot.by_model.values() for view in views}


def _read(line: bytes) -> Json:
    """A line of a recording; empty: it is broken, as the last one of a daemon that was killed, or something else."""
    try:
        read = json.loads(line)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _moment(record: Json, deltas: Deltas) -> Moment | None:
    """A recorded request; None: it is not as this version writes it."""
    try:
        fleet, chosen = deltas.snapshot(record["fleet"]), record["chosen"]
        ask, intent = ask_of(record["ask"]), record["ask"]["intent"]
        went_to = (chosen[0], chosen[1]) if chosen else None
        key, budget = record["ask"].get("key", ""), record["ask"].get("budget_usd")
        return Moment(float(record["time"]), ask, intent, fleet, went_to, key, budget)
    except (ValueError, TypeError, LookupError, AttributeError):
        return None


def _expected(key: Key | None, question: Question, snapshot: Snapshot) -> Expected | None:
    """What was to be expected of a deployment at that moment; None: it is not there."""
    backend, model = key or ("", "")
    views = snapshot.by_model.get(model, ())
    view = next((view for view in views if view.deployment.backend == backend), None)
    if view is None:
        return None
    expected = estimate(question.size, view, snapshot.backends[backend])
    return Expected(expected.total, expected.cost_usd, view.success)
