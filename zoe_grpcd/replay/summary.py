"""Many requests decided anew, added up: what stays, what moves where, and what that is expected to gain."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from zoe_grpcd.core.key import Key
from zoe_grpcd.replay import Expected, Redecided

Move = tuple[Key | None, Key | None]
"""From whom to whom, (backend, model); None: nobody could serve."""
NOTHING = Expected(0.0, 0.0, 0.0)


@dataclass(slots=True)
class Gain:
    """Sums of what was expected before and after, over the requests for which both are known."""

    requests: int = 0
    compared: int = 0
    before: Expected = NOTHING
    after: Expected = NOTHING

    def add(self, request: Redecided) -> None:
        """Counts a request in."""
        self.requests += 1
        if request.expected_before and request.expected_after:
            self.compared += 1
            self.before = _sum(self.before, request.expected_before)
            self.after = _sum(self.after, request.expected_after)

    def means(self) -> tuple[Expected, Expected] | None:
        """What was expected of a request on average, before and after; None: no request can be compared."""
        if not self.compared:
            return None
        return _share(self.before, self.compared), _share(self.after, self.compared)


@dataclass(slots=True)
class Summary:
    """All requests together; `first` and `last` are unix seconds."""

    all: Gain = field(default_factory=Gain)
    moves: dict[Move, Gain] = field(default_factory=dict)
    shares: dict[Key | None, list[int]] = field(default_factory=dict)  # requests before, after
    same: int = 0
    unknown_intents: int = 0
    first: float = 0.0
    last: float = 0.0

    def add(self, request: Redecided) -> None:
        """Counts a request in."""
        self.first = min(self.first or request.time, request.time)
        self.last = max(self.last, request.time)
        self.all.add(request)
        self.unknown_intents += not request.intent_known
        self.shares.setdefault(request.before, [0, 0])[0] += 1
        self.shares.setdefault(request.after, [0, 0])[1] += 1
        if request.before == request.after:
            self.same += 1
        else:
            self.moves.setdefault((request.before, request.after), Gain()).add(request)

    def largest_moves(self) -> list[tuple[Move, Gain]]:
        """Those of most requests first."""
        return sorted(self.moves.items(), key=lambda item: (-item[1].requests, str(item[0])))


def summed_up(requests: Iterable[Redecided]) -> Summary:
    """All requests of a replay."""
    summary = Summary()
    for request in requests:
        summary.add(request)
    return summary


def _sum(one: Expected, other: Expected) -> Expected:
    return Expected(one.seconds + other.seconds, one.usd + other.usd, one.success + other.success)


def _share(whole: Expected, count: int) -> Expected:
    return Expected(whole.seconds / count, whole.usd / count, whole.success / count)
