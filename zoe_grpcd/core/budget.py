"""Money for a day: what was spent, what is held for calls that run, and what is left. US dollars.

Rule: a day is one of UTC, as the providers of models bill. A call is let in with the most that it is expected to cost,
and counts with what it did cost from its end on, on the day of its end.
"""

from dataclasses import dataclass

from zoe_grpcd.core.estimate import Size, prompt_tokens
from zoe_grpcd.core.views import DeploymentView

DAY = 86400.0
# Of the budget: from there on the operator is told, once a day.
ALMOST = 0.8
# What sums of many small amounts may be off by (US dollars).
ROUNDING = 1e-9
# How far a prompt may be longer than it is expected to be, and an answer that nobody limits.
LONGER_PROMPT, LONGER_ANSWER = 1.25, 4.0


def day_of(unix: float) -> int:
    """The day that a moment (unix seconds) is in: days since 1970-01-01 UTC."""
    return int(unix // DAY)


def until_tomorrow(unix: float) -> float:
    """Seconds until the next day begins."""
    return (day_of(unix) + 1) * DAY - unix


def most_usd(size: Size, view: DeploymentView) -> float:
    """The most that a request is expected to cost on a deployment; 0 where nothing has a price.

    The answer counts with the limit that the request has, else with four times the mean of past ones, as far as the
    window has room.
    """
    if not (view.input_usd_per_token or view.output_usd_per_token):
        return 0.0
    prompt = prompt_tokens(size, view) * LONGER_PROMPT
    answer = view.output_tokens * LONGER_ANSWER
    if size.max_output_tokens is not None:
        answer = size.max_output_tokens
    if view.context_tokens:
        prompt = min(prompt, view.context_tokens)
        answer = min(answer, max(0.0, view.context_tokens - prompt))
    return prompt * view.input_usd_per_token + answer * view.output_usd_per_token


@dataclass(slots=True)
class Budget:
    """One caller's money. `limit`: US dollars a day, which may change; `warned`: the operator was told today."""

    limit: float
    day: int = 0
    spent: float = 0.0
    held: float = 0.0
    warned: bool = False

    def left(self, unix: float, own: float = 0.0) -> float:
        """What may be held for a call, >= 0; `own` is held for it already."""
        self._turn(unix)
        return max(0.0, self.limit - self.spent - (self.held - own))

    def hold(self, usd: float) -> None:
        """Keeps so much for a call that begins."""
        self.held += usd

    def settle(self, held: float, spent: float, unix: float) -> bool:
        """A call is over: what was held for it is free again, and it has cost so much.

        Returns whether the operator is to be told that the budget is almost spent.
        """
        self._turn(unix)
        self.held = max(0.0, self.held - held)
        self.spent += spent
        if self.warned or self.spent < ALMOST * self.limit - ROUNDING or not self.spent:
            return False
        self.warned = True
        return True

    def _turn(self, unix: float) -> None:
        """Begins a new day if it is one. A clock that is set back brings no money, and no day that never ends."""
        today = day_of(unix)
        if today > self.day:
            self.spent, self.warned = 0.0, False
        self.day = today
