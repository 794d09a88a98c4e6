"""Deciding for one request: what it asks for, who may serve it, who is chosen, or why nobody is.

The one rule: nothing here is acted on. What was decided is data, and whoever acts on it does so at once.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace

from zoe_grpcd.admission import Seat
from zoe_grpcd.core.ask import Ask, Target
from zoe_grpcd.core.awaited import once_over, wait_in_words
from zoe_grpcd.core.decision import Decision
from zoe_grpcd.core.eligible import Question, question_of
from zoe_grpcd.core.errors import InvalidRequest, Violation, ZoeError
from zoe_grpcd.core.explain import decision_of
from zoe_grpcd.core.fallback import widened
from zoe_grpcd.core.grants import catalogue, narrowed, refuse
from zoe_grpcd.core.naming import Models
from zoe_grpcd.core.refusal import late_of, refusal_of
from zoe_grpcd.core.resolution import Resolution
from zoe_grpcd.core.resolve import Policy, Resolver
from zoe_grpcd.core.scoring import Choice, choose
from zoe_grpcd.core.views import Snapshot
from zoe_grpcd.core.warmth import FRESH, in_doubt
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.queueing import Queueing
from zoe_grpcd.run import Around, Reliability


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator decided."""

    resolver: Resolver
    policy: Policy
    reliability: Reliability


class Deciding:
    """One for each configuration."""

    def __init__(self, fleet: Fleet, rules: Rules, queueing: Queueing, around: Around) -> None:
        self._fleet = fleet
        self._resolver = rules.resolver
        self._policy = rules.policy
        self._retry_delay = rules.reliability.retry_delay
        self._queueing = queueing
        self._clock = around.clock
        self._may_look = around.look is not None

    def mistakes(self, target: Target) -> Iterable[Violation]:
        """What a target names that does not exist here, by its fields."""
        if target.intent or target.allowed_backends or target.excluded_backends:
            return self._resolver.mistakes(target, self._fleet.names())
        return ()

    def question(self, ask: Ask) -> Question:
        """What is decided about a request; raises InvalidRequest for names that do not exist here."""
        if mistakes := tuple(self.mistakes(ask.target)):
            raise InvalidRequest(mistakes[0].description, violations=mistakes)
        resolution = self._resolution(ask, self._fleet.catalogue.models())
        return question_of(ask, resolution, drop_params=self._policy.drop_params)

    def _resolution(self, ask: Ask, models: Models) -> Resolution:
        if ask.licence is None:
            return self._resolver.resolve(ask, models, self._fleet.catalogue.silent())
        try:
            allowed = catalogue(ask.licence.grant, models)
            resolution = self._resolver.resolve(ask, allowed, self._fleet.catalogue.silent())
        except ZoeError:
            refuse(ask.licence.grant, ask.target.model)
            raise
        return narrowed(resolution, ask.licence.grant, ask.licence.remarks)

    def decide(
        self, question: Question, seat: Seat, *, explain: bool, sent: bool = False, sure: bool = True
    ) -> Decision:
        """Chooses; raises the refusal if nobody may serve. `sent`: it is going to be acted on; else it may be one that
        has to wait first, and says so. `sure`: what backends have in memory is not doubted. `seat` is told the options.
        """
        started = self._clock()
        if question.ask.licence is not None:
            question.budget = question.ask.licence.left()
        snapshot = picture = self._queueing.picture(self._fleet.picture.snapshot(started), seat)
        choice = choose(question, picture, self._policy)
        if choice is None and not sent and (later := once_over(question, picture)) is not None:
            picture, choice = later, choose(question, later, self._policy)
        if choice is None and (late := late_of(question, picture)) is not None:
            question = widened(question) or question
            choice = choose(question, picture, self._policy)
            if choice is None:
                raise late
        if choice is None:
            raise self._refusal(question, snapshot)
        seat.options, seat.picture = choice.options, snapshot
        decision = decision_of(question, choice, picture, self._policy, explain=explain)
        if picture is not snapshot:
            waiting = wait_in_words(decision.chosen.deployment, snapshot)
            decision.explanation = f"{decision.explanation}; {waiting}"
        decision.id = f"{random.getrandbits(64):016x}"
        decision.decide_seconds = self._clock() - started
        if not sure:
            decision.doubtful = self._doubtful(choice, started)
        return decision

    def _refusal(self, question: Question, snapshot: Snapshot) -> Exception:
        """Why nobody may serve: what is missing besides money, else the money of its key."""
        licence = question.ask.licence
        if licence is not None and question.budget is not None:
            question = replace(question, budget=None)
            if choose(question, snapshot, self._policy) is not None:
                return licence.broke()
        return refusal_of(question, snapshot, self._retry_delay)

    def _doubtful(self, choice: Choice, now: float) -> frozenset[str]:
        """The backends on whose memory a choice hangs, and that were not looked at just now."""
        if not self._policy.prefer_warm or not self._policy.check_timeout or not self._may_look:
            return frozenset()
        if not (names := in_doubt(choice)):
            return names
        seen = ((name, self._fleet.health.probed_at(name)) for name in names)
        return frozenset(name for name, at in seen if at is None or now - at > FRESH)
