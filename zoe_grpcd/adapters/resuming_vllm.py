"""vLLM goes on with an answer: from the very tokens that were said, where they can be found again, else from its text.

The one rule: a seam is called exact only if the text is as many tokens as were counted when it was said.
"""

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any, Final

import aiohttp

from zoe_grpcd.adapters.dialects.completion import parsed
from zoe_grpcd.adapters.dialects.vllm import VLLMCompletion
from zoe_grpcd.adapters.inquiry import Inquiry, Unusable, count, together
from zoe_grpcd.adapters.litellm_provider import Form
from zoe_grpcd.adapters.resuming import is_plain
from zoe_grpcd.core.answer import Event, Seam
from zoe_grpcd.core.continuation import asked_before, from_text
from zoe_grpcd.core.generation import Call, Json
from zoe_grpcd.ports import Dispatcher

DIALECT: Final = VLLMCompletion()


class VLLMDispatcher:
    """See `Dispatcher`. `chat` takes what begins, and what goes on from a text; `completion` what goes on from ids."""

    def __init__(self, session: aiohttp.ClientSession, chat: Dispatcher, completion: Dispatcher) -> None:
        self._session = session
        self._chat = chat
        self._completion = completion

    def stream(self, call: Call) -> AsyncGenerator[list[Event]]:
        """See `Dispatcher.stream`."""
        from_ids = call.continues is not None and call.continues.prompt
        return (self._completion if from_ids else self._chat).stream(call)

    async def resumed(self, call: Call) -> Call:
        """See `Dispatcher.resumed`."""
        assert call.continues is not None
        asked = asked_before(call)
        hoped = call.continues.seam is Seam.EXACT_TOKENS and is_plain(call.generation)
        if not hoped or asked[-1]["role"] == "assistant":
            return from_text(call)
        server = Inquiry(self._session, call.backend.url, call.api_key, call.backend.connect_timeout)
        messages = DIALECT.messages(replace(call.generation, messages=asked))
        text = {"prompt": call.continues.text, "add_special_tokens": False}
        try:
            before, said = await together(
                _tokens(server, call, {"messages": messages, "add_generation_prompt": True}),
                _tokens(server, call, text),
            )
        except Unusable:  # it goes on from the text, or the request itself tells what is wrong
            return from_text(call)
        return _exact(call, before, said)


class TokenCompletions:
    """In place of LiteLLM's provider, which refuses prompts of token ids (1.106.2)."""

    def request(self, call: Call) -> Form:
        """URL, headers and body."""
        key = {"Authorization": f"Bearer {call.api_key}"} if call.api_key else {}
        root = call.backend.url.rstrip("/").removesuffix("/v1")
        return f"{root}/v1/completions", {"Content-Type": "application/json", **key}, DIALECT.body(call)

    def parser(self, call: Call) -> Any:
        """For the last chunk of a text, which has its end in it, too."""
        return lambda raw: parsed({"content": raw["choices"][0].get("text")})


async def _tokens(server: Inquiry, call: Call, what: Json) -> Json:
    """Its tokens, their number, and how many the model takes; raises `Unusable`."""
    body: Json = {"model": call.backend_model, **what}
    told = (await server.ask("/tokenize", body=body, only_asks=True)).record()
    ids = told.get("tokens")
    if not isinstance(ids, list) or any(count(token) is None for token in ids):
        raise Unusable("/tokenize: no token ids")
    return told


def _exact(call: Call, before: Json, said: Json) -> Call:
    """The call from the ids; from the text if they can't be those that were said."""
    continues = call.continues
    assert continues is not None
    if len(said["tokens"]) != continues.tokens:
        return from_text(call)
    prompt = (*before["tokens"], *said["tokens"])
    room = max(1, (count(before.get("max_model_len")) or 0) - len(prompt))
    options = {"max_output_tokens": room, **call.generation.options}
    return replace(
        call,
        generation=replace(call.generation, options=options),
        continues=replace(continues, prompt=prompt, repeats=False),
    )
