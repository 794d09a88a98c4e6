"""How llama-server is asked to go on with an answer that has begun: from its tokens, else from its text."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dispatching import HELLO, WEATHER, call, hear

from zoe_grpcd.adapters.dialects import DIALECTS
from zoe_grpcd.adapters.litellm_transform import TransformDispatcher, open_session
from zoe_grpcd.adapters.resuming import DIALECT, Completions, ResumingDispatcher
from zoe_grpcd.core.answer import Seam
from zoe_grpcd.core.continuation import Draft, continued
from zoe_grpcd.core.generation import Call, Generation
from zoe_grpcd.localbackends.servers import Server

pytestmark = pytest.mark.usefixtures("loaded")

Start = Callable[..., Server]
GREEDY = {"temperature": 0.0, "max_output_tokens": 24}


@pytest.fixture
async def dispatcher() -> AsyncIterator[ResumingDispatcher]:
    async with open_session() as session:
        chat = TransformDispatcher(session, DIALECTS["llamacpp"])
        yield ResumingDispatcher(session, chat, TransformDispatcher(session, DIALECT, Completions()))


def asking(server: Server, **generation: Any) -> Call:
    return call(server.kind, server.url, Generation(HELLO, options=GREEDY, **generation), model="m")


async def begun(dispatcher: ResumingDispatcher, asked: Call, words: int) -> tuple[str, Draft]:
    """All that is said, and its beginning."""
    heard = await hear(dispatcher, asked)
    text = "".join(f" {word}" for word in heard.text.split(" ")[1 : words + 1])
    return heard.text, Draft(text, tokens=words)


async def test_the_same_tokens_make_the_same_text(
    llama_server: Start, quick_gguf: Path, dispatcher: ResumingDispatcher
) -> None:
    asked = asking(llama_server(quick_gguf, alias="m"))
    whole, draft = await begun(dispatcher, asked, 9)
    goes_on = await dispatcher.resumed(continued(asked, draft, Seam.EXACT_TOKENS))
    assert goes_on.continues is not None
    assert goes_on.continues.seam is Seam.EXACT_TOKENS
    template, *ids = goes_on.continues.prompt
    assert isinstance(template, str)
    assert len(ids) == 9
    assert draft.text + (await hear(dispatcher, goes_on)).text == whole


async def test_tokens_that_cannot_be_those_that_were_said_are_no_exact_seam(
    llama_server: Start, quick_gguf: Path, dispatcher: ResumingDispatcher
) -> None:
    asked = asking(llama_server(quick_gguf, alias="m"))
    whole, draft = await begun(dispatcher, asked, 9)
    goes_on = await dispatcher.resumed(continued(asked, replace(draft, tokens=8), Seam.EXACT_TOKENS))
    assert goes_on.continues is not None
    assert goes_on.continues.seam is Seam.TEXT_PREFILL
    (prompt,) = goes_on.continues.prompt
    assert str(prompt).endswith(draft.text)
    assert (draft.text + (await hear(dispatcher, goes_on)).text).startswith(whole)


async def test_a_model_reads_what_it_has_thought_before_it_goes_on(
    llama_server: Start, reasoning_gguf: Path, dispatcher: ResumingDispatcher
) -> None:
    asked = asking(llama_server(reasoning_gguf, alias="m"))
    draft = Draft("The answer", "First they think.\n", 1, 4)
    goes_on = await dispatcher.resumed(continued(asked, draft, Seam.TEXT_PREFILL))
    assert goes_on.continues is not None
    (prompt,) = goes_on.continues.prompt
    assert str(prompt).endswith("<|assistant|><think>\nFirst they think.\n</think>\n\nThe answer")


async def test_a_model_that_does_not_think_reads_no_thought(
    llama_server: Start, quick_gguf: Path, dispatcher: ResumingDispatcher
) -> None:
    asked = asking(llama_server(quick_gguf, alias="m"))
    draft = Draft(" winter", "elsewhere thought", 1, 2)
    goes_on = await dispatcher.resumed(continued(asked, draft, Seam.TEXT_PREFILL))
    assert goes_on.continues is not None
    assert str(goes_on.continues.prompt[0]).endswith("<|assistant|> winter")


async def test_with_tools_the_chat_itself_goes_on(
    llama_server: Start, tool_gguf: Path, dispatcher: ResumingDispatcher
) -> None:
    asked = asking(llama_server(tool_gguf, alias="m"), tools=(WEATHER,))
    goes_on = await dispatcher.resumed(continued(asked, Draft("It is", tokens=2), Seam.EXACT_TOKENS))
    assert goes_on.continues is not None
    assert (goes_on.continues.seam, goes_on.continues.prompt) == (Seam.TEXT_PREFILL, ())


async def test_a_server_that_is_gone_is_found_out_by_the_request_itself(
    llama_server: Start, quick_gguf: Path, dispatcher: ResumingDispatcher
) -> None:
    server = llama_server(quick_gguf, alias="m")
    asked = asking(server)
    server.stop()
    goes_on = await dispatcher.resumed(continued(asked, Draft(" old", tokens=1), Seam.EXACT_TOKENS))
    assert goes_on.continues is not None
    assert (goes_on.continues.seam, goes_on.continues.prompt) == (Seam.TEXT_PREFILL, ())
