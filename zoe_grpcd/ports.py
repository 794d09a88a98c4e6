"""What the rooms of the daemon need from outside. The docstrings are the contract."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Protocol

from zoe_grpcd.core.answer import Event, Measured, Usage
from zoe_grpcd.core.ask import Verdict
from zoe_grpcd.core.errors import UpstreamError
from zoe_grpcd.core.generation import Call, Generation, Json
from zoe_grpcd.core.observation import Observation
from zoe_grpcd.core.reading import Shape


class Dispatcher(Protocol):
    """Sends a call to a backend."""

    def stream(self, call: Call) -> AsyncGenerator[list[Event]]:
        """Yields what arrived since the last item, in order, adjacent text merged; a list may be empty.

        Ends right after one `Finish`. Raises `UpstreamError` and nothing else (but cancellation); an end without a
        finish reason is `Fault.CUT`. Closing the generator closes the connection at once, which frees the backend.
        What comes first may be read by another task than the rest. Sets no limit on silence: the router does. Never retries, except stale kept-alive connections.
        """
        ...

    async def resumed(self, call: Call) -> Call:
        """The call, which goes on with an answer, in the form in which this backend goes on best.

        Its seam is the one that the backend can really offer, now that it was asked. Raises `UpstreamError`.
        """
        ...


class Probe(Protocol):
    """Looks at one backend."""

    async def __call__(self) -> Observation:
        """Never loads, wakes or disturbs a model, and never raises for what the server does: that is `ok=False`.

        Sets no limit on its own time: the monitor cancels it.
        """
        ...


class Warmer(Protocol):
    """Brings models of one backend into memory, by the cheapest request of its kind that does so.

    `keeps`: it can be told how long a model shall stay there.
    """

    keeps: bool

    async def __call__(self, call: Call, keep_alive: float | None) -> None:
        """Returns when the model of the call, which has no messages, is in memory; raises `UpstreamError`.

        `keep_alive`: seconds without requests, less than 0 for as long as the server lives; None: as the call's options
        say. With 0 nothing is loaded, and a model that is in memory leaves it when the last request there has ended.
        Sets no limit on its own time.
        """
        ...


class StateStore(Protocol):
    """Keeps small values over a restart: JSON texts by kind and key.

    Two daemons may have one store for a while, as an old one drains while a new one starts: of a key that both write,
    the last text wins, and neither hears of the other's. Nothing here raises: what cannot be kept is logged.
    """

    def read(self, kind: str) -> dict[str, str]:
        """All texts of a kind, by key. For the start: it blocks. A reader passes over what it does not understand."""
        ...

    def put(self, kind: str, key: str, text: str) -> None:
        """Keeps a text in place of the one before; never blocks. It is safe within a second."""
        ...

    def drop(self, kind: str, key: str) -> None:
        """Forgets a key, as `put` keeps one."""
        ...

    async def close(self) -> None:
        """Writes what was put, within a few seconds. Nothing may be put any more."""
        ...


@dataclass(frozen=True, slots=True)
class InForce:
    """The configuration in force: as YAML without secrets, the file's path and SHA-256 (both empty without a file), its
    number from 1, and since when (unix seconds).
    """

    yaml: str
    source: str
    sha256: str
    generation: int
    since: float


@dataclass(slots=True)
class Reloaded:
    """What a reload has changed or would change, in words, and the paths that wait for the next start."""

    generation: int
    changes: list[str]
    warnings: list[str]
    restart_required: list[str]


class Configuration(Protocol):
    """What the operator has written down."""

    def in_force(self) -> InForce:
        """As it is now."""
        ...

    async def reload(self, *, validate_only: bool = False) -> Reloaded:
        """Reads it again and puts it in force between two requests; raises InvalidRequest, and changes nothing then."""
        ...


class Understanding(Protocol):
    """Finds the intent of a request in more time than a decision has."""

    async def __call__(self, text: str, shape: Shape) -> Verdict | None:
        """What the last message of the user is about; None: the quick classifier decides. Never raises."""
        ...


@dataclass(slots=True)
class RawFacts:
    """What a raw upstream object tells that LiteLLM's parsed chunk does not carry on."""

    finish: str | None = None  # the server's own finish reason
    usage: Usage | None = None
    measured: Measured | None = None
    error: UpstreamError | None = None  # an error object in the middle of a stream
    final: bool = False  # nothing follows
    bare: bool = False  # no piece of the answer in it: it needs no parser


class Dialect(Protocol):
    """How one kind of server speaks: one object a kind, shared by all backends of it, without state."""

    provider: str  # LiteLLM's name for it, e.g. "openai", "ollama_chat"
    refuses: frozenset[str]  # features (proto paths) that it cannot honour

    def base(self, url: str, model: str) -> str:
        """The address of a model on a backend in the form that LiteLLM's provider completes with its path."""
        ...

    def spell(self, call: Call) -> tuple[Json, Json]:
        """OpenAI parameters for LiteLLM to map, and fields that go into the body as they are."""
        ...

    def messages(self, generation: Generation) -> list[Json]:
        """Copies of the messages that LiteLLM may change, with roles and fields that this server knows."""
        ...

    def amend(self, body: Json, call: Call) -> None:
        """The last touch on the body that LiteLLM built: what it has no words for."""
        ...

    def piece(self, raw: Json) -> tuple[str, str] | None:
        """("text" or "reasoning", piece) of a chunk that is nothing else, "" included: it needs no parser; else None."""
        ...

    def read(self, raw: Json) -> RawFacts | None:
        """What the raw object of one chunk tells; None when it has nothing but pieces of the answer."""
        ...

    def refusal(self, status: int, body: str, headers: Any) -> UpstreamError:
        """The fault behind an answer that is not 200."""
        ...
