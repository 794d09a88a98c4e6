"""What is remembered of earlier requests never shows in a later one."""

from dataclasses import replace
from typing import Any

import pytest
from dispatching import HELLO, WEATHER, call

from zoe_grpcd.adapters.dialects import DIALECTS
from zoe_grpcd.adapters.litellm_provider import Provider
from zoe_grpcd.core.answer import Seam
from zoe_grpcd.core.errors import UpstreamError
from zoe_grpcd.core.generation import Call, Continuation, Generation

OTHER = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
SAID = ({"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Yes"})
JSON = {"type": "json_object"}

# One field of a request apart from the plainest one, each.
GENERATIONS = [
    Generation(HELLO),
    Generation(SAID),
    Generation(({"role": "developer", "content": "Brief."}, *HELLO)),
    Generation(({"role": "user", "content": [{"type": "text", "text": "Hi."}]},)),
    Generation(HELLO, options={"temperature": 1}),
    Generation(HELLO, options={"temperature": 0.5, "stop": ["a"]}),
    Generation(HELLO, options={"seed": 1}),
    Generation(HELLO, options={"seed": 2, "max_output_tokens": 3}),
    Generation(HELLO, options={"reasoning_effort": "none"}),
    Generation(HELLO, backend_options={"top_k": 1}),
    Generation(HELLO, backend_options={"top_k": 2, "keep_alive": "1m"}),
    Generation(HELLO, tools=(WEATHER,)),
    Generation(HELLO, tools=(WEATHER, OTHER)),
    Generation(HELLO, tools=(WEATHER, OTHER), tool_choice="none"),
    Generation(HELLO, tools=(WEATHER, OTHER), tool_choice="auto"),
    Generation(HELLO, response_format=JSON),
]
CONTINUES = Continuation(Seam.TEXT_PREFILL, "Yes", 1)


def made(provider: Provider, asked: Call) -> Any:
    try:
        return provider.request(asked)
    except UpstreamError as error:
        return error.fault, str(error)


@pytest.mark.parametrize(
    "kind", sorted(DIALECTS.keys() - {"triton"})
)  # which is sent one text, never remembered
def test_a_request_is_what_it_would_be_as_the_first_one(kind: str, loaded: object) -> None:
    plain = call(kind, "http://one")
    asked = [
        *(replace(plain, generation=generation) for generation in GENERATIONS),
        call(kind, "http://two"),
        call(kind, "http://one", api_key="key"),
        call(kind, "http://one", model="n"),
        replace(plain, priority="high"),
        replace(plain, continues=CONTINUES),
    ]
    expected = [made(Provider(DIALECTS[kind]), one) for one in asked]
    remembers = Provider(DIALECTS[kind])
    assert [made(remembers, one) for one in asked] == expected
    assert [made(remembers, one) for one in reversed(asked)] == expected[::-1]
