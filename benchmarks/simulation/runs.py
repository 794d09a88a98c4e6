"""Requests on their way through the daemon in simulated time, and its queue, as `admission` and `queueing` have it.

The rule: all are of one class and one caller, and stay in the queue as long as they have any time at all; so who came
first looks first.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from benchmarks.simulation.traces import Request
from zoe_grpcd.core.awaited import Key, key_of
from zoe_grpcd.core.domain import Attempt, Deployment, Estimate
from zoe_grpcd.core.eligible import Question
from zoe_grpcd.core.errors import UpstreamError
from zoe_grpcd.core.timetable import Task
from zoe_grpcd.core.views import DeploymentView


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """What somebody waits for: where it would go by its last decision, with what work, and all that would do."""

    backend: str
    task: Task
    reach: frozenset[Key]


@dataclass(slots=True, eq=False)
class Run:
    """One request's way through its attempts, as `router.Run` has it."""

    request: Request
    question: Question
    started: float
    attempts: list[Attempt] = field(default_factory=list)
    faults: list[UpstreamError] = field(default_factory=list)
    expected: Estimate | None = None  # of the first attempt
    ended: float = 0.0
    over: bool = False
    answered: bool = False
    disturbed: bool = False  # more than one attempt
    place: Place | None = None  # in the queue
    hang_up: Callable[[], None] | None = None  # ends the attempt that is being made


class Queue:
    """Those who wait for a free place."""

    def __init__(self) -> None:
        self._line: list[Run] = []

    def __contains__(self, run: Run) -> bool:
        return run in self._line

    def enter(self, run: Run) -> None:
        """Takes a place in the line, or keeps it; who has begun once goes before all who have not."""
        if run not in self._line:
            self._line.append(run)
            self._line.sort(key=_rank)

    def leave(self, run: Run) -> None:
        """It waits no longer, if it did."""
        if run in self._line:
            self._line.remove(run)

    def ahead(self, run: Run) -> dict[str, list[Task]]:
        """The work of those who are served before it, by backend."""
        tasks: dict[str, list[Task]] = defaultdict(list)
        for other in self._line:
            if other is not run and other.place is not None and _rank(other) <= _rank(run):
                tasks[other.place.backend].append(other.place.task)
        return tasks

    def everybody(self) -> list[Run]:
        """All of them, in their order."""
        return list(self._line)

    def hopeful(self, backend: str, has_room: Callable[[Key], bool]) -> list[Run]:
        """Those who may find a place there, in their order."""
        keys = {key for run in self._line if run.place for key in run.place.reach if key[0] == backend}
        free = {key for key in keys if has_room(key)}
        return [run for run in self._line if run.place and not free.isdisjoint(run.place.reach)]


def _rank(run: Run) -> tuple[bool, float]:
    return not run.attempts, run.started


def place_of(deployment: Deployment, expected: Estimate, options: Iterable[DeploymentView]) -> Place:
    """Where a request would wait, and for what."""
    task = Task(deployment.model, (expected.prefill + expected.decode) / expected.slowdown)
    return Place(deployment.backend, task, frozenset(key_of(view.deployment) for view in options))
