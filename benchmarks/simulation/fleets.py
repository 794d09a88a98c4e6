"""The fleets: boxes with their servers, and the foreign load on them, by name. Each call builds a fresh one."""

from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.simulation.boxes import Box
from benchmarks.simulation.servers import Model, Ollama, Router, Server, Single

# Five models, quantised to 4 bits.
TINY = Model("tiny:1b", 1.2, 0.8, talk=0.8)
CHAT = Model("chat:3b", 3.2, 2.0)
CODER = Model("coder:7b", 7.6, 4.7, talk=1.2)
GENERAL = Model("general:8b", 8.0, 4.9, talk=1.1)
BIG = Model("big:14b", 14.8, 9.0, talk=1.4)
MODELS = {model.name: model for model in (TINY, CHAT, CODER, GENERAL, BIG)}


@dataclass(slots=True)
class Home:
    """Somebody's machines.

    Attributes:
        foreign: sessions an hour of other people, by server.
        weights: how often each model, or alias, is asked for by name; "" is auto.
        failing: the server that fails in the trace with a failing box.
        slow: the box that gets slow in the trace with a slow one.
        rate: requests a minute of the calm trace.
    """

    boxes: list[Box]
    weights: dict[str, float]
    failing: str
    slow: str
    rate: float
    foreign: dict[str, float] = field(default_factory=dict)
    aliases: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def servers(self) -> dict[str, tuple[Box, Server]]:
        """All servers by name."""
        return {server.name: (box, server) for box in self.boxes for server in box.servers}

    def candidates(self, target: str) -> set[str]:
        """The models that may answer who asks for this one, or for an alias; "": any."""
        if target:
            return set(self.aliases.get(target, (target,)))
        return {model for _, server in self.servers().values() for model in server.models}


def _box(name: str, speeds: tuple[float, float, float], sharing: tuple[float, float]) -> Box:
    """`speeds`: gigabytes a second, tokens x billions read a second, gigabytes a second of disk; `sharing`: batch, contend."""
    return Box(name, *speeds, *sharing)


def home() -> Home:
    """A desktop with a GPU, a small GPU box, and a mini PC that computes on its CPU."""
    desktop = _box("desktop", (300.0, 12000.0, 1.8), (0.12, 0.9))
    desktop.servers = [Router("desktop", (TINY, CHAT, CODER, GENERAL, BIG), 2, desktop.disk, most=2)]
    jetson = _box("jetson", (90.0, 3500.0, 0.7), (0.2, 0.95))
    jetson.servers = [Ollama("jetson", (TINY, CHAT, CODER, GENERAL), 1, jetson.disk, memory=7.5)]
    mini = _box("mini", (60.0, 900.0, 0.5), (0.55, 1.0))
    mini.servers = [
        Single("mini-chat", (CHAT,), 2, mini.disk),
        Ollama("mini-ollama", (TINY, CODER, GENERAL, BIG), 1, mini.disk, memory=11.0),
    ]
    return Home(
        [desktop, jetson, mini],
        {
            "chat:3b": 0.30,
            "coder:7b": 0.14,
            "general:8b": 0.10,
            "big:14b": 0.06,
            "tiny:1b": 0.08,
            "medium": 0.17,
            "": 0.15,
        },
        failing="jetson",
        slow="desktop",
        rate=7.0,
        foreign={"desktop": 6.0, "jetson": 3.0, "mini-ollama": 3.0, "mini-chat": 2.0},
        aliases={"medium": ("coder:7b", "general:8b")},
    )


def uniform() -> Home:
    """Four equal boxes, each a llama-server with the same model in four slots."""
    boxes = []
    for number in range(1, 5):
        box = _box(f"node{number}", (200.0, 8000.0, 1.5), (0.15, 0.9))
        box.servers = [Single(f"node{number}", (GENERAL,), 4, box.disk)]
        boxes.append(box)
    return Home(
        boxes,
        {"general:8b": 1.0},
        failing="node2",
        slow="node3",
        rate=40.0,
        foreign={"node1": 4.0, "node4": 2.0},
    )


def attic() -> Home:
    """Held back from tuning: four boxes, other speeds, other memory, other sharing, other habits."""
    laptop = _box("laptop", (180.0, 6000.0, 2.5), (0.25, 1.1))
    laptop.servers = [Ollama("laptop", (TINY, CHAT, CODER, GENERAL, BIG), 2, laptop.disk, memory=12.0)]
    old = _box("old-gpu", (240.0, 5000.0, 0.4), (0.1, 0.8))
    old.servers = [Single("old-gpu", (CODER,), 3, old.disk)]
    server = _box("server", (110.0, 2000.0, 1.0), (0.6, 0.9))
    server.servers = [Router("server", (TINY, CHAT, GENERAL, BIG), 4, server.disk, most=3)]
    board = _box("board", (25.0, 350.0, 0.15), (0.5, 1.0))
    board.servers = [Ollama("board", (TINY, CHAT), 1, board.disk, memory=3.5)]
    return Home(
        [laptop, old, server, board],
        {
            "chat:3b": 0.2,
            "coder:7b": 0.22,
            "general:8b": 0.14,
            "big:14b": 0.08,
            "tiny:1b": 0.14,
            "any-chat": 0.12,
            "": 0.10,
        },
        failing="laptop",
        slow="server",
        rate=8.0,
        foreign={"laptop": 5.0, "old-gpu": 3.0, "server": 3.0},
        aliases={"any-chat": ("chat:3b", "general:8b")},
    )


FLEETS: dict[str, Callable[[], Home]] = {"home": home, "uniform": uniform}
HELD_BACK: dict[str, Callable[[], Home]] = {"attic": attic}
