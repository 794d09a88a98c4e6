"""Names that the operator sends requests to, and that nobody serves: told in the log when it is seen, and in the status.

The one rule: it is a warning and no mistake, as servers come and go; what is wrong for good, `config.reach` says.
"""

import logging
from collections.abc import Iterator, Sequence

from zoe_grpcd.core.intents import Intent
from zoe_grpcd.core.naming import Models, Names
from zoe_grpcd.core.policy import Policy
from zoe_grpcd.fleet import Fleet

log = logging.getLogger(__name__)


class Vacancies:
    """One for the life of the daemon. Nothing is looked at before `begin`: who has not been asked yet serves nothing."""

    def __init__(self, fleet: Fleet, policy: Policy, intents: Sequence[Intent]) -> None:
        self._fleet = fleet
        self._policy, self._intents = policy, intents
        self._models: Models | None = None
        self._found: dict[str, str] = {}

    def begin(self) -> None:
        """Looks now, and whenever models have come or gone."""
        self._fleet.picture.subscribe(self._heed)
        self._look()

    def change(self, policy: Policy, intents: Sequence[Intent]) -> None:
        """Another configuration is in force."""
        self._policy, self._intents = policy, intents
        self._look()

    def in_words(self) -> Iterator[str]:
        """For the status, if there is something to tell."""
        if self._found:
            yield f"nobody serves {', '.join(self._found)}"

    def _heed(self, _name: str) -> None:
        if self._fleet.catalogue.models() is not self._models:
            self._look()

    def _look(self) -> None:
        catalogue = self._fleet.catalogue
        self._models, before = catalogue.models(), self._found
        self._found = dict(vacant(self._policy, self._intents, catalogue.served()))
        if new := [f"{option} ({self._found[option]})" for option in self._found.keys() - before.keys()]:
            silent = catalogue.silent()
            more = f"; what is served by {', '.join(silent)} is not known yet" if silent else ""
            log.warning("nobody serves %s%s", ", ".join(sorted(new)), more)
        if filled := sorted(before.keys() - self._found.keys()):
            log.info("somebody serves %s", ", ".join(filled))


def vacant(policy: Policy, intents: Sequence[Intent], models: Models) -> Iterator[tuple[str, str]]:
    """The options with names that stand for none of these models, and what is in them."""
    names = Names(policy.aliases, policy.patterns)
    if policy.default_model and names.find(policy.default_model, models) is None:
        yield "routing.default_model", policy.default_model
    for alias, members in policy.aliases.items():
        if names.find(alias, models) is None:
            yield f"routing.aliases.{alias}", ", ".join(members)
    for intent in intents:
        if intent.model and names.find(intent.model, models) is None:
            yield f"routing.intents.{intent.name}.model", intent.model
