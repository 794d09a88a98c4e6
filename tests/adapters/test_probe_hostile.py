"""Whatever a server does, a probe says in words that it is not well, and never raises."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from puppet import HANG, Puppet, answer, listening
from waiting import eventually

from zoe_grpcd.adapters.inquiry import MAX_BODY_BYTES
from zoe_grpcd.adapters.llamacpp import LlamaCppProbe
from zoe_grpcd.adapters.ollama import OllamaProbe
from zoe_grpcd.adapters.openai import OpenAIProbe
from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.observation import Observation

PROBES = [LlamaCppProbe, OllamaProbe, OpenAIProbe]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
MISTAKES = {
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a body": b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"data": [',
    "chunks that end early": CHUNKED + b"5\r\n{}   \r\n",
    "chunks of no length": CHUNKED + b"zz\r\n{}\r\n",
    "a body that is not packed as it says": answer(b"{}", Content_Encoding="gzip"),
    "a page": answer(b"<html>It works!</html>"),
    "text that is no text": answer(b"\xff\xfe\x00"),
    "an empty body": answer(b""),
    "null": answer(None),
    "a list": answer([]),
    "an empty object": answer({}),
    "a list that is none": answer({"data": "x", "models": 5}),
    "models that are none": answer({"data": [1], "models": [None]}),
    "models without a name": answer({"data": [{"id": 5}], "models": [{"name": ""}]}),
    "very deep": answer(b"[" * 200_000),
    "a number without end": answer(b'{"data": ' + b"9" * 5000 + b"}"),
    "a redirect": answer({}, 302, Location="http://127.0.0.1:1/"),
    "an error": answer({"error": {"message": "out of\nmemory", "code": 500}}, 500),
    "an error of another shape": answer({"error": "out of memory"}, 503),
    "an error page": answer(b"<html>" + b"x" * 100_000, 502),
    "no key": answer({"error": {"message": "Invalid API Key"}}, 401),
    "too much": answer(b" " * (MAX_BODY_BYTES + 1)),
}


@pytest.mark.parametrize("kind", PROBES)
@pytest.mark.parametrize("mistake", MISTAKES)
async def test_what_is_no_answer_makes_a_backend_unwell_with_a_short_reason(
    session: aiohttp.ClientSession, puppet: Any, kind: Any, mistake: str
) -> None:
    server = await puppet({}, otherwise=MISTAKES[mistake])
    seen = await kind(session, Backend("x", "x", server.url), "sk-secret")()
    assert (seen.ok, seen.models, seen.loading) == (False, None, False)
    assert 5 < len(seen.error) < 200
    assert "\n" not in seen.error
    assert "secret" not in seen.error


@pytest.mark.parametrize("kind", PROBES)
@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1:1", "connection refused"),
        ("http://nowhere.invalid", "unknown host"),
        ("http://127.0.0.1:99999", "the url is wrong"),
    ],
)
async def test_what_can_not_be_reached_is_told_in_words(
    session: aiohttp.ClientSession, kind: Any, url: str, error: str
) -> None:
    seen = await kind(session, Backend("x", "x", url))()
    assert (seen.ok, seen.error) == (False, error)


@pytest.mark.parametrize("kind", PROBES)
async def test_a_look_at_a_server_that_hangs_can_be_given_up_and_leaves_no_connection(
    session: aiohttp.ClientSession, puppet: Any, kind: Any
) -> None:
    server: Puppet = await puppet({}, otherwise=HANG)
    look = asyncio.create_task(kind(session, Backend("x", "x", server.url))())
    await eventually(lambda: server.asked)
    look.cancel()
    with pytest.raises(asyncio.CancelledError):
        await look
    assert session.connector is not None
    assert len(session.connector._acquired) == 0


async def test_slots_that_are_not_told_soon_are_not_waited_for(
    session: aiohttp.ClientSession, puppet: Any
) -> None:
    about = {"total_slots": 4, "default_generation_settings": {"n_ctx": 512}}
    server = await puppet(
        {
            "/health": answer({"status": "ok"}),
            "/props": answer(about),
            "/v1/models": answer({"data": [{"id": "m"}]}),
            "/slots": HANG,
        }
    )
    seen = await LlamaCppProbe(session, Backend("x", "llamacpp", server.url))()
    assert (seen.ok, seen.slots, seen.busy) == (True, 4, None)
    assert seen.duration < 30


# ------------------------------------------------------------------------------------------- details of any type

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def objects(*fields: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(fields, VALUES))


LLAMA_PROPS = objects(
    "role", "is_sleeping", "total_slots", "default_generation_settings", "chat_template", "chat_template_caps",
    "modalities",
)  # fmt: skip
LISTED = objects("meta", "status", "architecture", "capabilities", "context_length", "supported_parameters")
STATUS = objects("value", "args", "failed", "exit_code")
TAGGED = objects("digest", "size", "details", "remote_host")
RUNNING = objects("expires_at", "size", "size_vram", "context_length")
SHOWN = objects("capabilities", "parameters", "model_info", "template", "details")


async def look(kind: Any, answers: dict[str, Any]) -> Observation:
    spoken = {path: answer(json.dumps(value).encode()) for path, value in answers.items()}
    async with listening(Puppet(spoken, answer({}, 404))) as server, aiohttp.ClientSession() as session:
        seen: Observation = await kind(session, Backend("x", "x", server.url))()
        return seen


often = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@often
@given(props=LLAMA_PROPS, listed=LISTED, status=STATUS, slots=VALUES)
async def test_a_llama_server_may_give_any_type_to_its_details(
    props: dict[str, Any], listed: dict[str, Any], status: dict[str, Any], slots: Any
) -> None:
    models = {"data": [{"id": "m", **listed}]}
    for about in ({**props, "role": "router"}, props):
        seen = await look(
            LlamaCppProbe, {"/health": {}, "/props": about, "/v1/models": models, "/slots": slots}
        )
        assert seen.ok, seen.error
        models["data"][0]["status"] = status


@often
@given(tagged=TAGGED, running=RUNNING, shown=SHOWN, version=VALUES)
async def test_an_ollama_may_give_any_type_to_its_details(
    tagged: dict[str, Any], running: dict[str, Any], shown: dict[str, Any], version: Any
) -> None:
    answers = {
        "/api/version": {"version": version},
        "/api/tags": {"models": [{"name": "m", **tagged}]},
        "/api/ps": {"models": [{"name": "m", **running}]},
        "/api/show": shown,
    }
    seen = await look(OllamaProbe, answers)
    assert seen.ok, seen.error


@often
@given(listed=LISTED)
async def test_an_openai_server_may_give_any_type_to_its_details(listed: dict[str, Any]) -> None:
    seen = await look(OpenAIProbe, {"/v1/models": {"data": [{"id": "m", **listed}]}})
    assert seen.ok, seen.error
