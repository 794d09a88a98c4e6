"""One request on its way through its attempts: what the world looks like to it, and what became of it so far.

The one rule: attempts and the loop around them write here, and nobody keeps it longer than the request.
"""

import random
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from zoe_grpcd.core.answer import Event, Seam
from zoe_grpcd.core.continuation import NOTHING_YET, Draft, Loss
from zoe_grpcd.core.decision import Decision
from zoe_grpcd.core.eligible import Question
from zoe_grpcd.core.errors import UpstreamError
from zoe_grpcd.core.firsttoken import USUAL, Bounds
from zoe_grpcd.core.hold import Hold
from zoe_grpcd.core.key import Key
from zoe_grpcd.core.outcome import Attempt, Completed, Moved, Switched
from zoe_grpcd.core.progress import Progress
from zoe_grpcd.core.views import Snapshot
from zoe_grpcd.patience import Patience

Item = Decision | Progress | Moved | Switched | list[Event] | Completed
Deliver = Callable[[Item], Awaitable[None]]
"""Takes one item of an answer, and returns when the next one may come; what it raises ends the request."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """How hard to try, and what a first token may take where a backend sets no limit of its own (seconds)."""

    max_attempts: int = 3
    retry_delay: float = 0.5
    first_token: Bounds = USUAL
    hedge: bool = False  # everybody's requests, not only those whose callers want it
    hedge_share: float = 0.1  # of recent requests that may be asked of a second backend
    longest_pause: float = 10.0  # a backend that wants a longer one is not waited for; the caller is told
    return_time: float = 3.0  # a server that died in the middle of an answer may be back by then


@dataclass(frozen=True, slots=True)
class Around:
    """What is told of the world: a monotonic clock, a way to ask for a probe of a backend at once, and chance: 0..1.

    `record` is told how each request that was sent had been decided first, and of those that nobody could serve. `look`
    returns when these backends were probed, or after so many seconds.
    """

    clock: Callable[[], float]
    nudge: Callable[[str], None]
    chance: Callable[[], float] = random.random
    record: Callable[[Question, Snapshot, Decision | None], None] | None = None
    look: Callable[[Collection[str], float], Awaitable[None]] | None = None


@dataclass(slots=True)
class Run:
    """One request's way through its attempts.

    `eager`: the caller wants the decision before a backend has accepted. `whole`: nothing of an answer is handed on
    before all of it is there. `draft` is what the caller has, or with `whole` is to have; `loss` and `lost` say who
    made the last of it and died, `seam` how the present attempt is joined to it.
    """

    started: float
    patience: Patience
    deliver: Deliver
    eager: bool = False
    whole: bool = False
    explain: bool = False
    hold: Hold = Hold.NOTHING
    announced: Decision | None = None
    done: bool = False
    queued: float = 0.0
    attempts: tuple[Attempt, ...] = ()
    faults: tuple[UpstreamError, ...] = ()
    beaten: tuple[Attempt, ...] = ()  # that were ended since another one answered first
    draft: Draft = NOTHING_YET
    loss: Loss | None = None
    lost: Attempt | None = None
    seam: Seam | None = None
    held: list[Event] = field(default_factory=list)
    opened: float | None = None  # when its first token came
    spent: float = 0.0  # US dollars, by attempts that were lost
    silent: frozenset[Key] = frozenset()  # who did not tell how it goes on with a text
    returns: int = 0  # times that it has waited for a server to come back
    advances: int = 0  # attempts that were lost, but brought the answer forward
    told: Progress | None = None  # what it was told last of its wait, and when
    told_at: float = 0.0
    looked: bool = False  # backends were asked what they have in memory, once
    sought: bool = False  # those who are down were looked at once more, as nobody else may serve

    @property
    def seen(self) -> bool:
        """The caller has something of the answer."""
        return self.draft.begun and not self.whole

    @property
    def made(self) -> int:
        """Attempts that have ended."""
        return len(self.attempts) + len(self.beaten)

    @property
    def reported(self) -> tuple[Attempt, ...]:
        """Those, as they ended."""
        return tuple(sorted((*self.attempts, *self.beaten), key=_number)) if self.beaten else self.attempts

    @property
    def kept(self) -> Draft:
        """What the present attempt goes on from."""
        return self.draft if self.seam in (Seam.EXACT_TOKENS, Seam.TEXT_PREFILL) else NOTHING_YET

    def advance(self, draft: Draft, loss: Loss) -> None:
        """The last attempt was lost, and brought the answer as far as this."""
        self.draft, self.loss, self.lost = draft, loss, self.attempts[-1]
        self.advances, self.returns = self.advances + 1, 0

    def drop(self) -> None:
        """The answer begins anew."""
        self.draft, self.loss, self.opened, self.advances = NOTHING_YET, None, None, 0
        self.held.clear()


def _number(attempt: Attempt) -> int:
    return attempt.number
