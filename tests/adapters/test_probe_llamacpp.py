"""What the probe of a llama-server sees on real ones, and that it leaves them as they are."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from waiting import LONG, eventually

from zoe_grpcd.adapters import llamacpp
from zoe_grpcd.adapters.llamacpp import LlamaCppProbe
from zoe_grpcd.adapters.slots import Restraint
from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.observation import LoadState, ModelStatus, Observation
from zoe_grpcd.localbackends.gguf import TinyModel, make_gguf
from zoe_grpcd.localbackends.servers import Server

ASK = {"messages": [{"role": "user", "content": "hello"}], "stream": True, "max_tokens": 4000}
TEXT = {"chat", "completion", "json_schema", "grammar", "logprobs"}


@pytest.fixture(autouse=True)
def _time_for_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine tells of them late."""
    monkeypatch.setattr(llamacpp, "_SLOTS_PATIENCE", LONG)


def probe_of(session: aiohttp.ClientSession, server: Server, api_key: str = "") -> LlamaCppProbe:
    return LlamaCppProbe(session, Backend("here", "llamacpp", server.url), api_key)


def only(seen: Observation) -> ModelStatus:
    assert seen.models is not None
    [model] = seen.models
    return model


def size_of(file: Path) -> int:
    return file.stat().st_size


def states(seen: Observation) -> dict[str, LoadState]:
    assert seen.ok, seen.error
    return {model.name: model.state for model in seen.models or ()}


async def seen_often(probe: LlamaCppProbe, times: int = 20) -> Observation:
    return [await probe() for _ in range(times)][-1]


# ------------------------------------------------------------------------------------------------------- one model


async def test_a_server_tells_its_model_its_window_and_its_slots(
    session: aiohttp.ClientSession, llama_server: Any, quick_gguf: Path
) -> None:
    seen = await probe_of(session, llama_server(quick_gguf, slots=2))()
    assert seen.ok
    assert (seen.slots, seen.busy, seen.deferred) == (2, 0, None)
    assert 0 < seen.duration < LONG
    model = only(seen)
    assert (model.name, model.alias) == (str(quick_gguf), "quick")
    assert (model.state, model.context_tokens) == (LoadState.LOADED, 4096)
    assert model.capabilities == TEXT
    assert model.parameters == pytest.approx(0.00114, rel=0.01)
    assert model.size_bytes == pytest.approx(size_of(quick_gguf), rel=0.02)


async def test_a_name_that_was_chosen_needs_no_other(
    session: aiohttp.ClientSession, llama_server: Any, quick_gguf: Path
) -> None:
    model = only(await probe_of(session, llama_server(quick_gguf, alias="tiny"))())
    assert (model.name, model.alias) == ("tiny", None)


async def test_tools_and_reasoning_are_read_from_the_template(
    session: aiohttp.ClientSession, llama_server: Any, tool_gguf: Path, reasoning_gguf: Path
) -> None:
    assert only(await probe_of(session, llama_server(tool_gguf))()).capabilities == TEXT | {"tools"}
    assert only(await probe_of(session, llama_server(reasoning_gguf))()).capabilities == TEXT | {"reasoning"}


async def test_a_server_that_loads_its_model_is_well_and_loading(
    session: aiohttp.ClientSession, llama_server: Any, tmp_path: Path
) -> None:
    big = make_gguf(tmp_path / "big.gguf", TinyModel(name="big", experts=32, ffn=4096))
    probe = probe_of(session, llama_server(big, args=["--no-mmap"], wait=False))
    seen = [await probe()]

    async def loaded() -> bool:
        seen.append(await probe())
        return bool(seen[-1].models)

    await eventually(loaded)
    assert any(observation.loading and observation.ok for observation in seen)
    assert all(observation.models is None for observation in seen[:-1])
    assert {observation.error for observation in seen} <= {"", "connection refused"}
    assert only(seen[-1]).state == LoadState.LOADED


async def test_a_server_falls_asleep_and_stays_asleep_while_it_is_looked_at(
    session: aiohttp.ClientSession, llama_server: Any, quick_gguf: Path
) -> None:
    server = llama_server(quick_gguf, args=["--sleep-idle-seconds", "2"])
    probe = probe_of(session, server)

    async def asleep() -> bool:
        return (await probe()).sleeping

    await eventually(asleep)
    seen = await seen_often(probe)
    assert seen.sleeping
    assert (only(seen).state, seen.busy, seen.slots) == (LoadState.SLEEPING, None, 1)
    assert only(seen).context_tokens == 4096
    assert "exiting sleeping state" not in server.log.read_text(errors="replace")
    assert server.request("POST", "/v1/chat/completions", {**ASK, "stream": False, "max_tokens": 2})[0] == 200
    seen = await probe()
    assert (seen.sleeping, seen.busy) == (False, 0)
    assert "exiting sleeping state" in server.log.read_text(errors="replace")


async def test_work_of_anybody_shows_as_busy_slots(
    session: aiohttp.ClientSession, llama_server: Any, endless_gguf: Path
) -> None:
    server = llama_server(endless_gguf, slots=2)
    probe = probe_of(session, server)

    async def busy(number: int) -> bool:
        return (await probe()).busy == number

    async with (
        session.post(f"{server.url}/v1/chat/completions", json=ASK) as one,
        session.post(f"{server.url}/v1/chat/completions", json=ASK) as other,
    ):
        await eventually(lambda: busy(2))
        other.close()
        await eventually(lambda: busy(1))
        one.close()
    await eventually(lambda: busy(0))


async def test_a_prompt_that_is_read_shows_how_far_it_is(
    session: aiohttp.ClientSession, llama_server: Any, slow_gguf: Path
) -> None:
    server = llama_server(slow_gguf, args=["--batch-size", "64"])
    probe = probe_of(session, server)
    told: set[tuple[int, int]] = set()
    long = {"messages": [{"role": "user", "content": "the river " * 150}], "max_tokens": 1}

    async def has_read() -> bool:
        told.update((await probe()).reading or ())
        return asking.done()

    async def ask() -> int:
        async with session.post(f"{server.url}/v1/chat/completions", json=long) as reply:
            return reply.status

    asking = asyncio.create_task(ask())
    await eventually(has_read)
    assert asking.result() == 200
    assert len({task for task, _ in told}) == 1
    assert len(told) > 1


async def test_a_wrong_api_key_is_told_as_such(
    session: aiohttp.ClientSession, llama_server: Any, quick_gguf: Path
) -> None:
    server = llama_server(quick_gguf, api_key="right", wait=True)
    assert (await probe_of(session, server, "right")()).busy == 0
    wrong, none = await probe_of(session, server, "wrong")(), await probe_of(session, server)()
    assert (wrong.ok, wrong.error) == (False, "401: the api_key is wrong")
    assert (none.ok, none.error) == (False, "401: it wants an api_key")


async def test_a_server_without_slots_endpoint_tells_how_many_it_has_but_not_how_many_are_taken(
    session: aiohttp.ClientSession, llama_server: Any, quick_gguf: Path
) -> None:
    seen = await probe_of(session, llama_server(quick_gguf, slots=2, args=["--no-slots"]))()
    assert (seen.ok, seen.slots, seen.busy) == (True, 2, None)


async def test_a_stopped_server_is_refused_and_seen_again_when_it_is_back(
    session: aiohttp.ClientSession, llama_server: Any, quick_gguf: Path
) -> None:
    server = llama_server(quick_gguf)
    probe = probe_of(session, server)
    assert (await probe()).ok
    server.stop()
    gone = await probe()
    assert (gone.ok, gone.error, gone.models) == (False, "connection refused", None)
    server.start().wait_ready()
    assert (await probe()).ok


# --------------------------------------------------------------------------------------------------------- a router


def load(router: Server, model: str) -> None:
    assert router.request("POST", "/models/load", {"model": model})[0] == 200


async def wait_for(probe: LlamaCppProbe, model: str, state: LoadState) -> Observation:
    async def reached() -> Observation | None:
        seen = await probe()
        return seen if states(seen)[model] == state else None

    seen = await eventually(reached)
    assert seen is not None
    return seen


async def test_a_router_is_looked_at_without_loading_anything(
    session: aiohttp.ClientSession, llama_router: Any, quick_gguf: Path, slow_gguf: Path
) -> None:
    router = llama_router(quick_gguf, slow_gguf, slots=2)
    seen = await seen_often(probe_of(session, router))
    assert states(seen) == {"quick": LoadState.UNLOADED, "slow": LoadState.UNLOADED}
    assert [model.context_tokens for model in seen.models or ()] == [4096, 4096]  # of the arguments
    assert (seen.slots, seen.busy, seen.detail) == (None, None, "router")
    assert router.runners() == []


async def test_a_router_tells_what_is_loading_and_loaded_and_nothing_is_evicted_by_looking(
    session: aiohttp.ClientSession, llama_router: Any, tool_gguf: Path, tmp_path: Path
) -> None:
    big = make_gguf(tmp_path / "big.gguf", TinyModel(name="big", experts=32, ffn=4096))
    router = llama_router(tool_gguf, big, slots=2, args=["--models-max", "1", "--no-mmap"])
    probe = probe_of(session, router)
    load(router, "big")
    await wait_for(probe, "big", LoadState.LOADING)
    seen = await wait_for(probe, "big", LoadState.LOADED)
    assert (seen.slots, seen.busy) == (2, 0)
    runners = router.runners()
    seen = await seen_often(probe)
    assert states(seen) == {"big": LoadState.LOADED, "tool": LoadState.UNLOADED}
    assert router.runners() == runners
    load(router, "tool")
    seen = await wait_for(probe, "tool", LoadState.LOADED)
    tool = next(model for model in seen.models or () if model.name == "tool")
    assert tool.capabilities == TEXT | {"tools"}
    assert tool.context_tokens == 4096


async def test_what_a_model_told_while_loaded_is_known_when_it_is_unloaded(
    session: aiohttp.ClientSession, llama_router: Any, tool_gguf: Path
) -> None:
    router = llama_router(tool_gguf)
    probe = probe_of(session, router)
    # the benefit of the doubt, until it is loaded
    assert only(await probe()).capabilities == TEXT | {"tools"}
    load(router, "tool")
    await wait_for(probe, "tool", LoadState.LOADED)
    assert router.request("POST", "/models/unload", {"model": "tool"})[0] == 200
    model = only(await wait_for(probe, "tool", LoadState.UNLOADED))
    assert "tools" in model.capabilities
    assert model.parameters is not None


async def test_looking_at_a_model_does_not_save_it_from_its_turn_to_be_evicted(
    session: aiohttp.ClientSession, llama_router: Any, quick_gguf: Path, slow_gguf: Path, tool_gguf: Path
) -> None:
    router = llama_router(quick_gguf, slow_gguf, tool_gguf, args=["--models-max", "2"])
    probe = probe_of(session, router)
    for model in ("slow", "quick"):
        load(router, model)
        await wait_for(probe, model, LoadState.LOADED)
    await seen_often(probe)
    load(router, "tool")
    seen = await wait_for(probe, "tool", LoadState.LOADED)
    assert states(seen)["slow"] == LoadState.UNLOADED


async def test_a_router_whose_model_crashed_says_so(
    session: aiohttp.ClientSession, llama_router: Any, quick_gguf: Path
) -> None:
    router = llama_router(quick_gguf)
    probe = probe_of(session, router)
    load(router, "quick")
    await wait_for(probe, "quick", LoadState.LOADED)
    router.crash_runners()
    seen = await wait_for(probe, "quick", LoadState.FAILED)
    assert seen.detail == "router; quick ended with exit code 1"
    assert (await seen_often(probe)).ok
    assert router.runners() == []


async def test_the_models_of_a_router_fall_asleep_while_they_are_looked_at(
    session: aiohttp.ClientSession, llama_router: Any, quick_gguf: Path
) -> None:
    router = llama_router(quick_gguf, args=["--sleep-idle-seconds", "1"])
    probe = probe_of(session, router)
    load(router, "quick")
    await wait_for(probe, "quick", LoadState.SLEEPING)
    seen = await seen_often(probe)
    assert states(seen) == {"quick": LoadState.SLEEPING}
    assert (seen.sleeping, only(seen).context_tokens) == (False, 4096)


async def test_a_server_may_be_swapped_for_a_router_on_its_port(
    session: aiohttp.ClientSession, llama_server: Any, llama_router: Any, quick_gguf: Path, slow_gguf: Path
) -> None:
    server = llama_server(quick_gguf, alias="single")
    probe = probe_of(session, server)
    assert states(await probe()) == {"single": LoadState.LOADED}
    server.stop()
    llama_router(quick_gguf, slow_gguf, port=server.port)
    assert states(await probe()) == {"quick": LoadState.UNLOADED, "slow": LoadState.UNLOADED}


# ------------------------------------------------------------------------------------- how often slots are asked for

IDLE = [{"id": 0, "is_processing": False}]
BUSY = [{"id": 0, "is_processing": True, "id_task": 1}]
DONE = [{"id": 0, "is_processing": False, "id_task": 1}]


def asked_at(restraint: Restraint, seconds: range, slots: list[dict[str, Any]]) -> list[int]:
    times = []
    for now in seconds:
        if restraint.allows(now):
            restraint.saw(slots, now)
            times.append(now)
    return times


def test_an_idle_server_is_asked_ever_more_rarely() -> None:
    assert asked_at(Restraint(), range(0, 100, 5), IDLE) == [0, 5, 10, 20, 40, 80]


def test_a_busy_server_is_asked_each_time_and_one_that_has_worked_meanwhile_anew() -> None:
    restraint = Restraint()
    assert asked_at(restraint, range(0, 20, 5), BUSY) == [0, 5, 10, 15]
    assert asked_at(restraint, range(20, 100, 5), DONE) == [20, 25, 35, 55, 95]
    assert asked_at(restraint, range(100, 200, 5), IDLE)[:3] == [175, 180, 185]


def test_a_server_that_stays_awake_for_long_when_left_alone_is_asked_each_time_from_then_on() -> None:
    restraint = Restraint()
    asked_at(restraint, range(0, 2600, 5), IDLE)
    assert restraint.sleepless
    assert asked_at(restraint, range(2600, 2620, 5), IDLE) == [2600, 2605, 2610, 2615]
