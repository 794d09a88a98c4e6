"""The calls of the gRPC services, counted by method and code."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from zoe_grpcd.core.histogram import Histogram


class Method(NamedTuple):
    """A method of a service. `kind`: unary, server_stream, client_stream or bidi_stream."""

    kind: str
    service: str
    name: str


@dataclass(slots=True)
class Calls:
    """Calls that began, calls that ended by the name of their code, and how long they took."""

    started: Counter[Method] = field(default_factory=Counter)
    handled: Counter[tuple[Method, str]] = field(default_factory=Counter)
    seconds: dict[Method, Histogram] = field(default_factory=dict)

    @property
    def active(self) -> int:
        """Calls that run now."""
        return self.started.total() - self.handled.total()

    def ended(self, method: Method, code: str, seconds: float) -> None:
        """One has ended."""
        self.handled[method, code] += 1
        if (histogram := self.seconds.get(method)) is None:
            histogram = self.seconds[method] = Histogram()
        histogram.add(seconds)

    def copy(self) -> "Calls":
        """What was counted so far."""
        seconds = {}
        for method, histogram in self.seconds.items():
            seconds[method] = Histogram()
            seconds[method].merge(histogram)
        return Calls(self.started.copy(), self.handled.copy(), seconds)
