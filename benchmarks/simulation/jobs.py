"""The truth: one request inside a server."""

from dataclasses import dataclass
from enum import Enum


class Stage(Enum):
    """Where a job stands on its server."""

    WAITING = 0
    READING = 1
    WRITING = 2
    DONE = 3


@dataclass(slots=True, eq=False)
class Job:
    """One request inside a server. `reading` and `writing`: seconds that each takes alone on an idle box."""

    model: str
    reading: float
    writing: float
    load_noise: float = 1.0
    foreign: bool = False
    stage: Stage = Stage.WAITING
    left: float = 0.0  # of its stage, in seconds alone
    submitted_at: float = 0.0
    granted_at: float = 0.0  # its model was ready for it
    started_at: float = 0.0
    first_at: float = 0.0
    done_at: float = 0.0
    loads: int = 0  # model loads that it set off

    def clone(self) -> "Job":
        """A copy that lives on elsewhere."""
        twin = Job(
            self.model, self.reading, self.writing, self.load_noise, self.foreign, self.stage, self.left
        )
        twin.submitted_at, twin.granted_at = self.submitted_at, self.granted_at
        twin.started_at, twin.first_at = self.started_at, self.first_at
        return twin
