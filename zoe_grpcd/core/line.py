"""Who is next: the order of a queue, between classes by age, between callers by tokens, else by deadline.

    due of a class = arrival of who has waited longest in it - rank * ageing

The class that was due first is next, so that a class up is worth `ageing` seconds of waiting and none starves. Of a class
the caller is next who was given the fewest tokens, of a caller the request with the earliest deadline, then the first
that came. One rule beside: no request is delayed by batch work twice. Whoever found such running, or was overtaken by it
once, goes before all of it.
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import islice

RANKS = {"batch": 0, "low": 1, "normal": 2, "high": 3, "critical": 4}
"""How urgent a priority is."""
BATCH = RANKS["batch"]
# A request that has begun is nobody's newcomer: it goes before all that have not.
BEGUN = 1_000_000
AGEING = 10.0
# Accounts of callers who wait no longer are looked through when there are so many more of them than of the others.
IDLE_ACCOUNTS = 64


@dataclass(slots=True, eq=False)
class Ticket:
    """One request in the line.

    Attributes:
        caller: whose it is.
        rank: its class, of `RANKS`.
        tokens: what it is expected to take, of prompt and answer together; > 0.
        arrived, deadline: seconds on one clock.
        delayed: batch work ran when it came, or has overtaken it since.
    """

    caller: str = ""
    rank: int = RANKS["normal"]
    tokens: float = 1.0
    arrived: float = 0.0
    deadline: float = math.inf
    delayed: bool = False
    number: int = field(default=0, init=False)  # in the order of arrival; the line sets it


class Line:
    """All that wait. `ageing`: seconds of waiting that make up for one class; > 0."""

    def __init__(self, ageing: float = AGEING) -> None:
        self.ageing = ageing
        self._classes: dict[int, _Class] = {}
        self._tickets: dict[Ticket, None] = {}
        self._count = 0
        # The whole line and each one's place in it, until it changes.
        self._ordered: dict[Ticket, int] | None = None

    def __len__(self) -> int:
        return len(self._tickets)

    def __contains__(self, ticket: object) -> bool:
        return ticket in self._tickets

    def enter(self, ticket: Ticket) -> None:
        """A request begins to wait."""
        self._count += 1
        ticket.number = self._count
        self._tickets[ticket] = None
        self._ordered = None
        self._classes.setdefault(ticket.rank, _Class()).enter(ticket)

    def leave(self, ticket: Ticket) -> None:
        """A request waits no longer, and was not started; nothing to do for one that never entered."""
        if self._tickets.pop(ticket, ticket) is None:
            self._leave(ticket)

    def first(self, among: Collection[Ticket]) -> Ticket:
        """Who of these is next."""
        if len(among) == len(self._tickets):
            return next(iter(self._places()))
        return self.order(among)[0]

    def start(self, ticket: Ticket) -> None:
        """A request waits no longer, since it runs: its caller pays for it."""
        if ticket not in self._tickets:
            return
        del self._tickets[ticket]
        self._classes[ticket.rank].charge(ticket)
        self._leave(ticket)
        if ticket.rank == BATCH:
            for other in self._tickets:
                other.delayed = True

    def order(self, among: Iterable[Ticket] | None = None) -> list[Ticket]:
        """Those who wait, or some of them, as they would start if nobody came any more."""
        classes: dict[int, list[Ticket]] = {}
        for ticket in self._tickets if among is None else among:
            classes.setdefault(ticket.rank, []).append(ticket)
        places: list[tuple[float, int, int, Ticket]] = []
        for rank in sorted(classes, reverse=True):  # batch comes last
            tickets, earliest = classes[rank], -math.inf
            if rank == BATCH:
                earliest = max((due for due, _, _, ticket in places if ticket.delayed), default=earliest)
            arrivals = sorted([ticket.arrived for ticket in tickets])
            for number, ticket in enumerate(self._classes[rank].order(tickets)):
                due = max(earliest, arrivals[number] - rank * self.ageing)
                places.append((due, -rank, number, ticket))
        places.sort(key=lambda place: place[:3])
        return [ticket for *_, ticket in places]

    def before(self, ticket: Ticket) -> list[Ticket]:
        """Those who are served before a request, whether it waits or only might."""
        if ticket in self._tickets:
            places = self._places()
            return list(islice(places, places[ticket]))
        ticket.number = self._count + 1
        rank = self._classes.setdefault(ticket.rank, _Class())
        rank.welcome(ticket.caller)
        order = self.order([*self._tickets, ticket])
        if not rank.size:
            del self._classes[ticket.rank]
        return order[: order.index(ticket)]

    def _places(self) -> dict[Ticket, int]:
        if self._ordered is None:
            self._ordered = {ticket: place for place, ticket in enumerate(self.order())}
        return self._ordered

    def _leave(self, ticket: Ticket) -> None:
        self._ordered = None
        rank = self._classes[ticket.rank]
        rank.leave(ticket)
        if not rank.size:
            del self._classes[ticket.rank]


class _Class:
    """The callers of one class. What each was given counts from `_floor`, where a new one begins."""

    def __init__(self) -> None:
        self.size = 0
        self._given: dict[str, float] = {}
        self._waiting: dict[str, int] = {}
        self._floor = 0.0

    def welcome(self, caller: str) -> None:
        """Whoever comes has neither a claim nor a debt of the time when it was not here."""
        if caller not in self._waiting:
            self._given[caller] = max(self._floor, self._given.get(caller, 0.0))

    def enter(self, ticket: Ticket) -> None:
        self.welcome(ticket.caller)
        self._waiting[ticket.caller] = self._waiting.get(ticket.caller, 0) + 1
        self.size += 1

    def leave(self, ticket: Ticket) -> None:
        self.size -= 1
        self._waiting[ticket.caller] -= 1
        if not self._waiting[ticket.caller]:
            del self._waiting[ticket.caller]
            self._forget()

    def charge(self, ticket: Ticket) -> None:
        """The floor rises with what all were given, so that no number of new callers holds up an old one for ever."""
        before = self._given[ticket.caller]
        self._given[ticket.caller] = before + ticket.tokens
        most = max([self._given[caller] for caller in self._waiting])
        self._floor = min(most, max(self._floor, before) + ticket.tokens / len(self._waiting))

    def order(self, tickets: Collection[Ticket]) -> list[Ticket]:
        """These of the class, as they would start."""
        given = dict(self._given)
        places = []
        for ticket in sorted(tickets, key=lambda t: (t.deadline, t.number)):
            at = given[ticket.caller]
            given[ticket.caller] = at + ticket.tokens
            places.append((at, ticket.deadline, ticket.number, ticket))
        places.sort(key=lambda place: place[:3])
        return [ticket for *_, ticket in places]

    def _forget(self) -> None:
        if len(self._given) > 2 * len(self._waiting) + IDLE_ACCOUNTS:
            kept = {c: g for c, g in self._given.items() if g > self._floor or c in self._waiting}
            self._given = kept
