"""Who waits, and who may start now: a bounded room for requests that somebody can serve as soon as a place is free.

The rule: a place that becomes free is offered to one after the other, in the order of the line, and each decides anew
before the next is asked. Who comes meanwhile and could take it as well waits for its turn.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import NamedTuple, Self

from zoe_grpcd.core.eligible import Option
from zoe_grpcd.core.errors import Exhausted, ShuttingDown
from zoe_grpcd.core.key import Key
from zoe_grpcd.core.line import AGEING, BATCH, RANKS, Line, Ticket
from zoe_grpcd.core.timetable import Task
from zoe_grpcd.core.views import Snapshot

ANYWHERE: frozenset[Key] = frozenset()
NO_ACCOUNT = nullcontext()
HasRoom = Callable[[Key], bool]
# Who waits for one backend though another is free looks that often whether it still is the better one (seconds).
LOOK_AGAIN = 1.0


class Intent(NamedTuple):
    """Where a request that waits would go by its last decision, and what it would have to do there."""

    backend: str
    task: Task


class WaitingRoom:
    """Requests wait here until a place is free, or until the fleet has changed otherwise.

    `max_queue`: seats. `max_queue_time`: seconds in one. `ageing`: seconds of waiting that make up for one class of
    priority. `has_room`: whether a (backend, model) takes one more request.
    """

    def __init__(
        self,
        max_queue: int = 256,
        max_queue_time: float = 30.0,
        ageing: float = AGEING,
        has_room: HasRoom = lambda _key: True,
    ) -> None:
        self.max_queue = max_queue
        self.max_queue_time = max_queue_time
        self.closed = False
        self.line = Line(ageing)
        self._has_room = has_room
        self._seats: dict[Ticket, Seat] = {}
        self._pending: dict[Seat, None] = {}  # those who are to look
        self._freed: set[str] | None = (
            set()
        )  # the backends where they are to look; None: everywhere, room or not
        self._called: Seat | None = None  # who looks now
        self._batch: dict[str, int] = {}  # batch requests that run, by backend

    def __len__(self) -> int:
        return len(self._seats)

    def depths(self) -> dict[str, int]:
        """How many wait, by priority."""
        ranks = Counter(ticket.rank for ticket in self._seats)
        return {priority: ranks[rank] for priority, rank in RANKS.items()}

    @property
    def is_full(self) -> bool:
        """Every seat is taken."""
        return len(self._seats) >= self.max_queue

    def full(self) -> Exhausted:
        """The refusal of who finds no seat."""
        return Exhausted(f"{self.max_queue} requests wait already", cause="QUEUE_FULL", retry_after=1.0)

    def limit(self, max_queue: int, max_queue_time: float, ageing: float) -> None:
        """Other limits, for those who come from now on; whoever has a seat keeps it."""
        self.max_queue, self.max_queue_time, self.line.ageing = max_queue, max_queue_time, ageing

    def seat(self, ticket: Ticket | None = None) -> "Seat":
        """A way in for one request; left at the end of its `with`."""
        return Seat(self, ticket or Ticket())

    def close(self) -> None:
        """The daemon drains: nobody waits any longer."""
        self.closed = True
        for seat in self._seats.values():
            seat.stirred.set()

    def stir(self, backend: str | None = None) -> None:
        """A place on a backend may be free; None: the fleet has changed. Those whom it concerns look, one by one."""
        if not self._seats:
            return
        if backend is None:
            self._freed = None
            self._pending |= dict.fromkeys(self._seats.values())
        else:
            if self._freed is not None:
                self._freed.add(backend)
            concerned = (seat for seat in self._seats.values() if seat.reaches(backend))
            self._pending |= dict.fromkeys(concerned)
        if self._called is None:
            self._call_next()

    def _call_next(self) -> None:
        """Whoever is first of those who may find a place looks; the others later, or not at all."""
        self._called = None
        waiting = self._hopeful()
        if not waiting:
            self._pending.clear()
            self._freed = set()
            return
        first = self.line.first([seat.ticket for seat in waiting])
        self._called = seat = self._seats[first]
        del self._pending[seat]
        seat.stirred.set()

    def _hopeful(self) -> list["Seat"]:
        """Those who are to look and may find something. Who is away looks when it is back."""
        for seat in [seat for seat in self._pending if seat.away]:
            seat.missed = True
            del self._pending[seat]
        if self._freed is None:
            return list(self._pending)
        keys = {key for seat in self._pending for key in seat.reach if key[0] in self._freed}
        free = {key for key in keys if self._has_room(key)}
        return [seat for seat in self._pending if not seat.reach or not free.isdisjoint(seat.reach)]

    # ------------------------------------------------------------------------------------------ what a request asks

    def admits(self, seat: "Seat", key: Key) -> bool:
        """Whether a request may start there now: there is room, and nobody is about to take it who was asked before."""
        if not self._has_room(key):
            return False
        if seat is self._called or not (self._pending or self._called):
            return True
        rivals = [*self._pending, *((self._called,) if self._called else ())]
        return not any(not rival.reach or key in rival.reach for rival in rivals if rival is not seat)

    def meant_for(self, backend: str) -> int:
        """How many wait who would go there by their last decision."""
        intents = (seat.intent for seat in self._seats.values())
        return sum(intent is not None and intent.backend == backend for intent in intents)

    def ahead(self, seat: "Seat") -> list["Seat"]:
        """Those who are served before a request, whether it waits or only might."""
        if not self._seats:
            return []
        before = (self._seats[ticket] for ticket in self.line.before(seat.ticket))
        return [other for other in before if not other.away]

    def running(self, rank: int, backend: str) -> AbstractContextManager[None]:
        """A request runs on a backend while this lasts. Only batch work is kept account of."""
        return self._running(backend) if rank == BATCH else NO_ACCOUNT

    @contextmanager
    def _running(self, backend: str) -> Iterator[None]:
        self._batch[backend] = self._batch.get(backend, 0) + 1
        try:
            yield
        finally:
            self._batch[backend] -= 1

    # ------------------------------------------------------------------------------------------------ what seats do

    def enter(self, seat: "Seat") -> None:
        """Seats a request; raises QUEUE_FULL."""
        if self.is_full:
            raise self.full()
        seat.ticket.delayed = any(self._batch.get(backend) for backend, _ in seat.reach)
        self.line.enter(seat.ticket)
        self._seats[seat.ticket] = seat
        if self._called is not None:
            self._pending[seat] = None  # a place is being offered, maybe one for it

    def looked(self, seat: "Seat") -> None:
        """A request has looked, and takes nothing for now: the next one may."""
        if seat is self._called:
            self._call_next()

    def leave(self, seat: "Seat", *, started: bool) -> None:
        """Empties a seat; the next one may look."""
        del self._seats[seat.ticket]
        self._pending.pop(seat, None)
        if started:
            self.line.start(seat.ticket)
        else:
            self.line.leave(seat.ticket)
        self.looked(seat)


class Seat:
    """One request's place in the line, taken with its first wait and kept however often it looks in vain."""

    __slots__ = (
        "_room",
        "_since",
        "away",
        "intent",
        "missed",
        "options",
        "picture",
        "reach",
        "spared",
        "started",
        "stirred",
        "ticket",
    )

    def __init__(self, room: WaitingRoom, ticket: Ticket) -> None:
        self._room = room
        self._since: float | None = None  # on the loop's clock
        self.ticket = ticket
        self.started = False  # it leaves because it runs
        self.away = False  # it cannot look for now, and keeps its place
        self.spared = 0.0  # seconds in it that do not count: a server would have kept it waiting as long
        self.missed = False  # it would have been its turn meanwhile
        self.reach: frozenset[Key] = ANYWHERE  # the (backend, model) that would do; empty: who knows
        self.intent: Intent | None = None
        self.options: Sequence[Option] = ()  # of its last look, and the fleet that it saw
        self.picture: Snapshot | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._since is not None:
            self._room.leave(self, started=self.started)

    @property
    def waited(self) -> float:
        """Seconds in it so far."""
        return 0.0 if self._since is None else asyncio.get_running_loop().time() - self._since

    def reaches(self, backend: str) -> bool:
        """A place there would do."""
        return not self.reach or any(name == backend for name, _ in self.reach)

    def aim(self, reach: Collection[Key], intent: Intent | None) -> None:
        """Says what it waits for."""
        self.reach, self.intent = frozenset(reach), intent

    def step_aside(self) -> None:
        """It takes no place for now, so that the next in the line may look."""
        self._room.looked(self)

    def sit(self) -> None:
        """Takes the seat, or keeps it after a look in vain. Raises Exhausted (QUEUE_FULL) or ShuttingDown."""
        if self._room.closed:
            raise ShuttingDown("the daemon is shutting down", retry_after=1.0)
        if self._since is None:
            self.stirred = asyncio.Event()  # few ever have to wait
            self._room.enter(self)
            self._since = asyncio.get_running_loop().time()
        self.stirred.clear()
        self._room.looked(self)

    @contextmanager
    def absent(self) -> Iterator[None]:
        """It does something else while this lasts, for which the others do not wait."""
        self.away, self.missed = True, False
        try:
            yield
        finally:
            self.away = False

    async def change(self, limit: float | None = None, look_again: float | None = None) -> None:
        """Takes the seat, and returns when it is this request's turn to look; see `turn`."""
        self.sit()
        await self.turn(limit, look_again)

    async def turn(self, limit: float | None = None, look_again: float | None = None) -> None:
        """Returns when it is this request's turn to look, or after `look_again` seconds.

        `limit`: seconds in this seat in all but those that do not count, default max_queue_time; raises Exhausted
        (QUEUE_TIMEOUT) after them.
        """
        loop = asyncio.get_running_loop()
        limit = self._room.max_queue_time if limit is None else limit
        end = (self._since or 0.0) + limit + self.spared
        again = end if look_again is None else min(end, loop.time() + look_again)
        try:
            async with asyncio.timeout_at(again):
                await self.stirred.wait()
        except TimeoutError:
            if loop.time() < end:
                return
            text = f"no backend could start the request within {limit:g} s"
            raise Exhausted(text, cause="QUEUE_TIMEOUT", retry_after=1.0) from None
