"""The columns of the cloud services in the README's table of kinds: what a client got through the daemon from servers that
are as strict about the wire formats as the services themselves, and that say what a test has them say.

The one rule: a cell is filled only by what such a server can show; how a model behaves it cannot, and that is `?`.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import grpc
from clouds import Cloud, Json
from featuretable import PROMPT, SCHEMA, TOOL, yes
from pictures import RED, png
from waiting import eventually

from zoe.admin.v1.admin_service_pb2 import WarmModelRequest
from zoe_client import AsyncClient, Delta, ZoeError
from zoe_grpcd.core.observation import LoadState

UNSEEN = "?"
SEEN_ON = "wire format"


@dataclass(frozen=True)
class Service:
    """One kind before its server.

    `says`: by feature, the events of the answer. `path` and `headers`: of a request past the daemon.
    """

    kind: str
    backend: str
    model: str
    cloud: Cloud
    daemon: Any
    client: AsyncClient
    says: Mapping[str, list[Json]]
    path: str
    headers: Mapping[str, str]

    async def answer(self, feature: str, **how: Any) -> Any:
        """What a client gets, and the body that was sent for it; None: an error."""
        self.cloud.events = self.says.get(feature, self.says["text"])
        try:
            return await self.client.complete(PROMPT, model=self.model, **how)
        except ZoeError:
            return None

    @property
    def sent(self) -> str:
        """The last body, as text."""
        return json.dumps(self.cloud.bodies[-1])


async def examined(of: Service) -> dict[str, str]:
    """All cells of a kind."""
    plain = await of.answer("text")
    assert plain is not None
    return {
        "version": SEEN_ON,
        "streaming": yes(await streams(of)),
        "tools": yes(await calls_tools(of)),
        "JSON schema": yes(await has_schema(of)),
        "images": yes(await takes_pictures(of)),
        "log probabilities": yes(await has_probabilities(of)),
        "usage": "estimated" if plain.usage.estimated else yes(plain.usage.completion_tokens > 0),
        "cached tokens": yes(plain.usage.cached_prompt_tokens > 0),
        "goes on from tokens": UNSEEN,
        "goes on from text": UNSEEN,
        "load seen": yes(await shows_load(of)),
        "memory seen": yes(of.daemon.load_state(of.backend, of.model) != LoadState.LOADED),
        "warm-up": yes(await warms(of)),
        "cancel": yes(await is_left(of)),
    }


async def streams(of: Service) -> bool:
    of.cloud.events = of.says["text"]
    return len([e async for e in of.client.stream(PROMPT, model=of.model) if isinstance(e, Delta)]) > 1


async def calls_tools(of: Service) -> bool:
    answer = await of.answer("tools", tools=[TOOL])
    called = answer is not None and [call.name for call in answer.tool_calls] == ["get_weather"]
    return called and "Tells the weather." in of.sent


async def has_schema(of: Service) -> bool:
    answer = await of.answer("JSON schema", response_format=SCHEMA)
    return answer is not None and json.loads(answer.text) == {"colour": "red"} and "colour" in of.sent


async def takes_pictures(of: Service) -> bool:
    picture = png(RED)
    answer = await of.answer("text", images=[picture])
    return answer is not None and base64.b64encode(picture).decode() in of.sent


async def has_probabilities(of: Service) -> bool:
    answer = await of.answer("log probabilities", top_logprobs=1)
    return answer is not None and len(answer.response.logprobs) == 1


async def shows_load(of: Service) -> bool:
    """A request of somebody else that goes on."""
    of.cloud.hangs = True
    body = {"model": of.model, "max_tokens": 9, "messages": [{"role": "user", "content": PROMPT}]}
    async with (
        aiohttp.ClientSession(headers=dict(of.headers)) as session,
        session.post(of.cloud.url + of.path, json=body) as foreign,
    ):
        of.cloud.hangs = False
        assert foreign.status == 200
        return bool(of.daemon.backends()[of.backend].load.foreign_in_flight)


async def warms(of: Service) -> bool:
    call = of.client.admin.WarmModel(WarmModelRequest(model=of.model, wait=True), timeout=30)
    code = await call.code()
    assert code in (grpc.StatusCode.OK, grpc.StatusCode.FAILED_PRECONDITION)
    return code is grpc.StatusCode.OK


async def is_left(of: Service) -> bool:
    """A caller has left, and the connection to the service is closed."""
    of.cloud.events, of.cloud.hangs, before = of.says["text"][:4], True, of.cloud.left
    try:
        async with of.client.stream(PROMPT, model=of.model) as stream:
            async for event in stream:
                if isinstance(event, Delta):
                    break
        await eventually(lambda: of.cloud.left > before, 10)
    except AssertionError:
        return False
    finally:
        of.cloud.hangs = False
    return True
