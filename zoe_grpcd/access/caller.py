"""One key's calls: let in within its limits, held what they may need, settled with what they took.

Rule: everything is decided before anything is taken, so that a call that is refused has used nothing.
"""

import logging
import math
from collections.abc import Callable
from typing import NamedTuple

from zoe_grpcd.access.ledger import Ledger
from zoe_grpcd.core.answer import Usage
from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.budget import Budget, until_tomorrow
from zoe_grpcd.core.errors import Exhausted
from zoe_grpcd.core.grants import narrow_ask
from zoe_grpcd.core.licence import Grant
from zoe_grpcd.core.quota import Quota
from zoe_grpcd.core.rules import guessed_tokens
from zoe_grpcd.core.usage import DecayedMean

log = logging.getLogger(__name__)

# What an answer is expected to have that nobody limits, before its model is known (tokens).
USUAL_ANSWER = 200
# How long a call takes, before one was seen (seconds).
USUAL_CALL = 5.0


class Clocks(NamedTuple):
    """Monotonic and unix seconds."""

    now: Callable[[], float]
    wall: Callable[[], float]


class Caller:
    """One key, by its name."""

    def __init__(self, grant: Grant, clocks: Clocks, ledger: Ledger) -> None:
        self.grant = grant
        self.clocks = clocks
        self._ledger = ledger
        self._requests: Quota | None = None
        self._tokens: Quota | None = None
        self._budget: Budget | None = None
        self._running = 0
        self._seconds = DecayedMean(USUAL_CALL)

    @property
    def name(self) -> str:
        """Its public name."""
        return self.grant.name

    def change(self, grant: Grant) -> None:
        """What it may do from now on; what it has used in the last minute and today counts on."""
        self.grant = grant
        self._requests = _quota(self._requests, grant.rpm)
        self._tokens = _quota(self._tokens, grant.tpm)
        limit = grant.daily_budget_usd
        if self._budget is not None:
            self._budget.limit = math.inf if limit is None else limit
        elif limit is not None:
            self._budget = self._ledger.open(grant.name, limit)

    # ------------------------------------------------------------------------------------------- requests and tokens

    def admit(self, tokens: int) -> None:
        """Raises Exhausted if a call that may take so many tokens has to wait."""
        grant, now = self.grant, self.clocks.now()
        if grant.max_concurrent is not None and self._running >= grant.max_concurrent:
            text = f"{grant.max_concurrent} calls at the same time"
            raise self._limited("max_concurrent", text, self._seconds.value / self._running)
        if self._requests is not None and (wait := self._requests.wait(1, now)):
            raise self._limited("rpm", f"{self._requests.limit} requests a minute", wait)
        if self._tokens is not None and (wait := self._tokens.wait(tokens, now)):
            raise self._limited("tpm", f"{self._tokens.limit} tokens a minute", wait)

    def enter(self, tokens: int) -> int:
        """A call begins that may take so many tokens; returns how many of them are held."""
        self._running += 1
        if self._requests is not None:
            self._requests.use(1, self.clocks.now())
        return self._tokens.hold(tokens) if self._tokens is not None else 0

    def leave(self, held: int, used: int, seconds: float) -> None:
        """It is over, and has taken so many."""
        now = self.clocks.now()
        self._running -= 1
        self._seconds.add(seconds, now)
        if self._tokens is not None:
            self._tokens.settle(held, used, now)

    def _limited(self, limit: str, what: str, wait: float) -> Exhausted:
        name = self.grant.name
        return Exhausted(
            f"key {name!r} has reached its limit of {what}",
            cause="RATE_LIMITED",
            retry_after=math.ceil(wait * 1000) / 1000,
            metadata={"key": name, "limit": limit},
        )

    # --------------------------------------------------------------------------------------------------------- money

    def left(self, own: float) -> float | None:
        """US dollars that are left today for a call for which so much is held already; None: no limit."""
        if self._budget is None or self.grant.daily_budget_usd is None:
            return None
        return self._budget.left(self.clocks.wall(), own)

    def hold(self, usd: float) -> None:
        """Keeps so much for a call."""
        if self._budget is not None and usd:
            self._budget.hold(usd)
            self._ledger.write(self.grant.name, self._budget)

    def settle(self, held: float, spent: float) -> None:
        """A call is over, or holds less: so much is free again, and so much spent."""
        budget = self._budget
        if budget is None or not (held or spent):
            return
        if budget.settle(held, spent, self.clocks.wall()):
            text = "key %s has spent %.2f of its %.2f USD of today (UTC)"
            log.warning(text, self.grant.name, budget.spent, budget.limit)
        self._ledger.write(self.grant.name, budget)

    def broke(self) -> Exhausted:
        """The refusal of a call that would cost more than is left today."""
        name, limit = self.grant.name, self.grant.daily_budget_usd
        return Exhausted(
            f"what is left of the {limit:g} USD a day of key {name!r} is not enough; a new day begins at 00:00 UTC",
            cause="BUDGET_EXCEEDED",
            retry_after=math.ceil(until_tomorrow(self.clocks.wall())),
            metadata={"key": name, "limit": "daily_budget_usd"},
        )


def _quota(quota: Quota | None, limit: int | None) -> Quota | None:
    if limit is None:
        return None
    if quota is None:
        return Quota(limit)
    quota.limit = limit
    return quota


class Visit:
    """One call of a key, from its request to its end: the licence that its decision asks."""

    __slots__ = ("_began", "_caller", "_held_tokens", "_held_usd", "_used", "grant", "remarks")

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.grant = caller.grant
        self.remarks: tuple[str, ...] = ()
        self._began: float | None = None
        self._held_tokens = self._used = 0
        self._held_usd = 0.0

    def begin(self, ask: Ask, *, sends: bool) -> None:
        """Narrows the request to what the key may do, and lets it in; `sends` False: it is not counted.

        Raises Exhausted if the key has reached a limit.
        """
        self.remarks = narrow_ask(ask, self.grant)
        ask.licence = self
        limit = ask.max_output_tokens
        tokens = round(guessed_tokens(ask)) + (USUAL_ANSWER if limit is None else limit)
        self._caller.admit(tokens)
        if sends:
            self._began = self._caller.clocks.now()
            self._held_tokens = self._caller.enter(tokens)

    def close(self) -> None:
        """The call is over, however it ended: it counts with what it has really taken."""
        if self._began is None:
            return
        caller, began, self._began = self._caller, self._began, None
        caller.leave(self._held_tokens, self._used, caller.clocks.now() - began)
        caller.settle(self._held_usd, 0.0)

    # ------------------------------------------------------------------------------------------------ see core.Licence

    def left(self) -> float | None:
        """See Licence: what others hold is not free, what it holds itself is."""
        return self._caller.left(self._held_usd)

    def reserve(self, usd: float, *, beside: bool = False) -> bool:
        """See Licence."""
        if beside:
            left = self._caller.left(0.0)
            if left is not None and usd > left:
                return False
        else:
            self._caller.settle(self._held_usd, 0.0)
            self._held_usd = 0.0
        self._held_usd += usd
        self._caller.hold(usd)
        return True

    def spent(self, usage: Usage, usd: float) -> None:
        """See Licence."""
        self._used += usage.prompt_tokens + usage.completion_tokens
        held, self._held_usd = self._held_usd, 0.0
        self._caller.settle(held, usd)

    def broke(self) -> Exhausted:
        """See Licence."""
        return self._caller.broke()
