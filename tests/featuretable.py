"""The README's table of what each kind of server can do behind the daemon, from what was seen of it on a real one.

The one rule: a cell is what a client got. `RECORD=1` writes what was seen; without it, it has to be what was recorded.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faultproxy import Fault, FaultProxy, How
from pictures import BLUE, RED, png
from serving import Daemon
from waiting import eventually

from zoe.admin.v1.admin_service_pb2 import WarmModelRequest
from zoe.inference.v1.routing_pb2 import SEAM_QUALITY_EXACT_TOKENS, SEAM_QUALITY_TEXT_PREFILL
from zoe_client import BackendSwitched, Client, Delta, ZoeError
from zoe_grpcd.kinds import KINDS as KIND_TABLE
from zoe_grpcd.localbackends.servers import Server, _processes

RECORDED = Path(__file__).parent / "data" / "kinds.json"
PROMPT = "tell me of the river and the clock"
WORDS = 60
KINDS = ("llamacpp", "ollama", "llama-cpp-python", "vllm", "triton", "openai", "anthropic")
VERDICT = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "blue"]}},
    "required": ["colour"],
    "additionalProperties": False,
}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": VERDICT}}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"city": {"enum": ["Paris"]}}, "required": ["city"]},
    },
}
NAMED = {"type": "function", "function": {"name": "get_weather"}}


@dataclass(frozen=True)
class Subject:
    """One kind on a real server.

    `models`: by feature, where another than `main` has it. `main` is served through `cut` as long as that is well, and
    without it otherwise. `foreign` asks the server itself for a long answer. `tells_memory`: whether the daemon was seen
    to tell a model that is in memory from one that is not. `ended`: whether a call that was left is over there; None:
    by the server's use of the processor. `cold`: puts a model out of memory, and tells its backend and name.
    """

    kind: str
    version: str
    daemon: Daemon
    server: Server
    cut: FaultProxy
    main: str
    foreign: tuple[str, dict[str, Any]]
    tells_memory: Callable[[], bool]
    models: Mapping[str, str] = field(default_factory=dict)
    ended: Callable[[], bool] | None = None
    cold: Callable[[], tuple[str, str]] | None = None

    @property
    def client(self) -> Client:
        return self.daemon.client(timeout=120.0)

    def answer(self, feature: str, prompt: str = PROMPT, **how: Any) -> Any:
        """What a client gets; None: an error."""
        model = self.models.get(feature, self.main)
        try:
            return self.client.complete(prompt, model=model, **_how(self), **how)
        except ZoeError:
            return None


async def examined(of: Subject) -> dict[str, str]:
    """All cells of a kind."""
    probabilities = has_probabilities(of)  # before they are needed: a vLLM takes long for the first ones
    exact, text = await continuation(of)
    return {
        "version": of.version,
        "streaming": yes(await streams(of)),
        "tools": tools(of),
        "JSON schema": yes(has_schema(of)),
        "images": yes(sees(of)),
        "log probabilities": yes(probabilities),
        "usage": usage(of),
        "cached tokens": yes(tells_cached(of)),
        "goes on from tokens": yes(exact),
        "goes on from text": yes(text),
        "load seen": yes(await shows_load(of)),
        "memory seen": yes(of.tells_memory()),
        "warm-up": yes(warms(of)),
        "cancel": yes(await is_freed(of)),
    }


def yes(seen: bool) -> str:
    return "yes" if seen else "-"


def _how(of: Subject) -> dict[str, Any]:
    return {} if of.kind == "triton" else {"temperature": 0}


async def streams(of: Subject) -> bool:
    async with of.daemon.aclient() as client:
        asked = client.stream(PROMPT, model=of.main, max_output_tokens=400, **_how(of))
        return len([event async for event in asked if isinstance(event, Delta)]) > 1


def tools(of: Subject) -> str:
    for choice, cell in (("auto", "yes"), (NAMED, "by name")):
        answer = of.answer("tools", tools=[TOOL], tool_choice=choice, max_output_tokens=100)
        if answer is not None and [call.name for call in answer.tool_calls] == ["get_weather"]:
            return cell
    return "-"


def has_schema(of: Subject) -> bool:
    answer = of.answer("", response_format=SCHEMA, max_output_tokens=100)
    return answer is not None and json.loads(answer.text)["colour"] in ("red", "blue")


def sees(of: Subject) -> bool:
    """What is said depends on the picture."""
    answers = [of.answer("images", images=[png(colour)], max_output_tokens=9) for colour in (RED, BLUE)]
    return all(answers) and answers[0].text != answers[1].text


def has_probabilities(of: Subject) -> bool:
    answer = of.answer("", top_logprobs=1, max_output_tokens=3)
    return answer is not None and len(answer.response.logprobs) == 3


def tells_cached(of: Subject) -> bool:
    """The second time, of a prompt that is longer than the pieces in which servers keep them."""
    answers = [of.answer("", "the river and the clock " * 20, max_output_tokens=3) for _ in range(2)]
    return all(answers) and answers[1].usage.cached_prompt_tokens > 0


def usage(of: Subject) -> str:
    answer = of.answer("", max_output_tokens=9)
    assert answer is not None
    return "estimated" if answer.usage.estimated else "yes"


async def continuation(of: Subject) -> tuple[bool, bool]:
    """Whether the rest of an answer is exactly what it would have been: from the same tokens, from the text so far."""
    whole = of.client.complete(PROMPT, model=of.main, max_output_tokens=WORDS, **_how(of))
    tries = 3 if KIND_TABLE[of.kind].takes_tokens else 1  # to a slow reader, two tokens come in one piece
    exact = await _goes_on(of, whole.text, SEAM_QUALITY_EXACT_TOKENS, tries)
    beside = {"top_logprobs": 1} if exact else {}  # for which nobody goes on from tokens
    text = await _goes_on(of, whole.text, SEAM_QUALITY_TEXT_PREFILL, tries, **beside)
    return exact, text


async def _goes_on(of: Subject, whole: str, seam: int, tries: int, **how: Any) -> bool:
    for _ in range(tries):
        if await _seam(of, whole, **how) == seam:
            return True
    return False


async def _seam(of: Subject, whole: str, **how: Any) -> int | None:
    async with of.daemon.aclient() as client:

        async def is_whole() -> bool:
            return bool((await client.route(PROMPT, model=of.main)).chosen.backend == f"{of.kind}-cut")

        await eventually(is_whole, 30)
        of.cut.strike(Fault(How.CUT, after=9))
        try:
            asked = client.stream(PROMPT, model=of.main, max_output_tokens=WORDS, **_how(of), **how)
            events = [event async for event in asked]
        except ZoeError:
            return None
        finally:
            of.cut.heal()
    (switched,) = [event for event in events if isinstance(event, BackendSwitched)]
    text = "".join(event.text for event in events if isinstance(event, Delta))
    return switched.seam if text == whole else None


async def shows_load(of: Subject) -> bool:
    """Somebody else's requests are seen."""
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            of.server.request("POST", *of.foreign)

    other = threading.Thread(target=ask)
    other.start()
    try:
        await eventually(lambda: of.daemon.backends()[of.kind].load.foreign_in_flight > 0, 8)
    except AssertionError:
        return False
    finally:
        stop.set()
        other.join()
    return True


def warms(of: Subject) -> bool:
    """A model that is not in memory is there when an operator says so, before anybody asks for it."""
    if of.cold is None:
        return False
    backend, model = of.cold()
    request = WarmModelRequest(model=model, backend=backend, wait=True)
    told = of.client.admin.WarmModel(request, timeout=120)
    there = of.daemon.load_state(backend, model) == "LOADED" and of.daemon.state(backend) == "READY"
    return there and not told.already_loaded


async def is_freed(of: Subject) -> bool:
    """A caller has left, and the server stops working on the answer."""
    async with (
        of.daemon.aclient() as client,
        client.stream(PROMPT, model=of.main, max_output_tokens=1500, **_how(of)) as stream,
    ):
        async for event in stream:
            if isinstance(event, Delta):
                break
    try:
        await eventually(of.ended or _Rest(of.server), 5)
    except AssertionError:
        return False
    return True


class _Rest:
    """Whether a server and what it started have used little of the processor since the last look but a moment ago."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._at, self._used = time.monotonic(), self._seconds()

    def __call__(self) -> bool:
        now = time.monotonic()
        if now - self._at < 0.5:
            return False
        span, used = now - self._at, self._seconds()
        idle = used - self._used < 0.1 * span
        self._at, self._used = now, used
        return idle

    def _seconds(self) -> float:
        ticks = 0
        for process in _processes():
            if process.group == self._server.pid:
                fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


# -------------------------------------------------------------------------------------------------------- the table


def recorded() -> dict[str, dict[str, str]]:
    """What was seen, by kind."""
    found: dict[str, dict[str, str]] = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    return found


def compare(kind: str, seen: dict[str, str]) -> None:
    """Fails if it is not what was recorded; with RECORD=1, records it."""
    if os.environ.get("RECORD") == "1":
        RECORDED.write_text(json.dumps(recorded() | {kind: seen}, indent=2, sort_keys=True) + "\n")
    assert recorded()[kind] == seen


def table() -> str:
    """As the README has it: a line a feature, a column a kind."""
    found = recorded()
    kinds = [kind for kind in KINDS if kind in found]
    lines = ["| | " + " | ".join(f"`{kind}`" for kind in kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    for feature in ("version", *FEATURES):
        lines += [f"| {feature} | " + " | ".join(found[kind][feature] for kind in kinds) + " |"]
    return "\n".join(lines)


FEATURES = (
    "streaming",
    "tools",
    "JSON schema",
    "images",
    "log probabilities",
    "usage",
    "cached tokens",
    "goes on from tokens",
    "goes on from text",
    "load seen",
    "memory seen",
    "warm-up",
    "cancel",
)
