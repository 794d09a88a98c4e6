"""Decides recorded requests anew, with other settings or the same: no network, no backend, no clock.

Rule: both choices of a request are held against the same recorded moment. What a changed choice would have meant for
the load that later requests met is not known, and nobody pretends to know it.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from zoe_grpcd.core.domain import Json
from zoe_grpcd.core.eligible import Question, question_of
from zoe_grpcd.core.errors import ZoeError
from zoe_grpcd.core.estimate import estimate
from zoe_grpcd.core.scoring import choose
from zoe_grpcd.core.views import Snapshot
from zoe_grpcd.recording.lines import FORMAT, Deltas, Key, ask_of
from zoe_grpcd.replay.overlay import Overlay
from zoe_grpcd.settings import Settings


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


@dataclass(slots=True)
class Replay:
    """The lines of a recording, decided anew with the settings. To be iterated once; `unreadable` grows meanwhile.

    Raises ValueError for what is no recording.
    """

    lines: Iterable[bytes]
    settings: Settings
    unreadable: int = 0
    unseen: set[Key] = field(default_factory=set)

    def __iter__(self) -> Iterator[Redecided]:
        """What would have become of each request, in their order."""
        state: tuple[Deltas, Overlay] | None = None
        for line in map(_read, self.lines):
            if line is None:
                state, self.unreadable = None, self.unreadable + 1  # what had changed there is not known
            elif "recording" in line:
                configured = frozenset((backend, model) for backend, model in line["configured"])
                state = Deltas(), Overlay(self.settings, configured, self.unseen)
            elif state is None:
                self.unreadable += 1
            else:
                yield self._redecided(line, *state)

    def _redecided(self, line: Json, deltas: Deltas, overlay: Overlay) -> Redecided:
        then = deltas.snapshot(line["fleet"])
        now = overlay.over(then)
        before = (line["chosen"][0], line["chosen"][1]) if line["chosen"] else None
        question, after = self._choice(line, now)
        return Redecided(
            line["time"],
            before,
            after,
            _expected(before, question, then) if question else None,
            _expected(after, question, now) if question else None,
            question is None or question.resolution.intent == line["ask"]["intent"],
        )

    def _choice(self, line: Json, snapshot: Snapshot) -> tuple[Question | None, Key | None]:
        """Who is chosen, and for which question; without a question: its model has no meaning with these settings."""
        rules, ask = self.settings.rules, ask_of(line["ask"])
        silent = sorted(snapshot.backends.keys() - _talkative(snapshot))
        try:
            resolution = rules.resolver.resolve(ask, snapshot.by_model, silent)
        except ZoeError:
            return None, None
        question = question_of(ask, resolution, drop_params=rules.policy.drop_params)
        choice = choose(question, snapshot, rules.policy)
        if choice is None:
            return question, None
        deployment = choice.options[choice.best].view.deployment
        return question, (deployment.backend, deployment.model)


def _talkative(snapshot: Snapshot) -> set[str]:
    return {view.deployment.backend for views in snapshot.by_model.values() for view in views}


def _read(line: bytes) -> Json | None:
    """A line of a recording; None: it is broken, as the last one of a daemon that was killed."""
    try:
        read = json.loads(line)
    except ValueError:
        return None
    if not isinstance(read, dict) or not read.keys() & {"recording", "fleet"}:
        raise ValueError("this is no recording of decisions")
    if read.get("recording", FORMAT) != FORMAT:
        raise ValueError(f"a recording of format {read['recording']}; this version reads format {FORMAT}")
    return read


def _expected(key: Key | None, question: Question, snapshot: Snapshot) -> Expected | None:
    """What was to be expected of a deployment at that moment; None: it is not there."""
    backend, model = key or ("", "")
    views = snapshot.by_model.get(model, ())
    view = next((view for view in views if view.deployment.backend == backend), None)
    if view is None:
        return None
    expected = estimate(question.size, view, snapshot.backends[backend])
    return Expected(expected.total, expected.cost_usd, view.success)
