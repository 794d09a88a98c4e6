"""llama-server goes on with an answer: from the very tokens that were said, where they can be found again.

The one rule: a seam is called exact only if the text is as many tokens as were counted when it was said.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any, Final

import aiohttp

from zoe_grpcd.adapters.dialects.completion import LlamaCppCompletion, parsed
from zoe_grpcd.adapters.inquiry import Inquiry, Unusable, records, text, together
from zoe_grpcd.adapters.litellm_provider import Form
from zoe_grpcd.core.answer import Event, Seam
from zoe_grpcd.core.continuation import asked_before, from_text
from zoe_grpcd.core.generation import Call, Generation, Json
from zoe_grpcd.ports import Dispatcher

OPEN, CLOSE = "<think>", "</think>"
DIALECT: Final = LlamaCppCompletion()


class ResumingDispatcher:
    """See `Dispatcher`. `chat` takes what begins, and what only it can go on with; `completion` the rest."""

    def __init__(self, session: aiohttp.ClientSession, chat: Dispatcher, completion: Dispatcher) -> None:
        self._session = session
        self._chat = chat
        self._completion = completion

    def stream(self, call: Call) -> AsyncGenerator[list[Event]]:
        """See `Dispatcher.stream`."""
        raw = call.continues is not None and call.continues.prompt
        return (self._completion if raw else self._chat).stream(call)

    async def resumed(self, call: Call) -> Call:
        """See `Dispatcher.resumed`. Tools, images and probabilities need the chat's own way of going on."""
        assert call.continues is not None
        if not is_plain(call.generation):
            return from_text(call)
        server = Inquiry(self._session, call.backend.url, call.api_key, call.backend.connect_timeout)
        try:
            template, ids, thinks = await _told(server, call)
        except Unusable:  # the request itself tells what is wrong, or goes on from the text
            return from_text(call)
        return _exact(call, template, ids) if ids else _from_text(call, template, thinks=thinks)


class Completions:
    """In place of LiteLLM's provider: this path is llama-server's own."""

    def request(self, call: Call) -> Form:
        """URL, headers and body."""
        key = {"Authorization": f"Bearer {call.api_key}"} if call.api_key else {}
        headers: Mapping[str, str] = {"Content-Type": "application/json", **key}
        root = call.backend.url.rstrip("/").removesuffix("/v1")
        return f"{root}/completion", headers, DIALECT.body(call)

    def parser(self, call: Call) -> Any:
        """For chunks that the dialect does not read by itself."""
        return parsed


def is_plain(generation: Generation) -> bool:
    """Nothing but text is asked for, and it is asked for in plain text."""
    return not (
        generation.tools
        or generation.response_format
        or "top_logprobs" in generation.options
        or any(isinstance(message.get("content"), list) for message in generation.messages)
    )


async def _told(server: Inquiry, call: Call) -> list[Any]:
    """What has to be known."""
    return await together(_template(server, call), _tokens(server, call), _thinks_in_tags(server, call))


async def _template(server: Inquiry, call: Call) -> Any:
    """The conversation as the model reads it, up to where its answer begins."""
    asked = replace(call.generation, messages=asked_before(call))
    _, extras = DIALECT.spell(call)
    body: Json = {"model": call.backend_model, "messages": DIALECT.messages(asked)}
    if "chat_template_kwargs" in extras:
        body["chat_template_kwargs"] = extras["chat_template_kwargs"]
    return text((await server.ask("/apply-template", body=body, only_asks=True)).record().get("prompt"))


async def _tokens(server: Inquiry, call: Call) -> Any:
    """The ids of the text so far; none if an exact seam is not wanted, or they can't be those that were said."""
    continues = call.continues
    assert continues is not None
    if continues.seam is not Seam.EXACT_TOKENS:
        return []
    body: Json = {"model": call.backend_model, "content": continues.text, "with_pieces": True}
    tokens = records((await server.ask("/tokenize", body=body, only_asks=True)).record().get("tokens"))
    return [token["id"] for token in tokens] if said_in(tokens) == continues.tokens else []


async def _thinks_in_tags(server: Inquiry, call: Call) -> Any:
    """Whether what was thought, if anything was, stood between the usual tags; nothing is loaded by asking."""
    assert call.continues is not None
    if not call.continues.reasoning:
        return False
    query = {"model": call.backend_model, "autoload": "false"}
    return OPEN in text((await server.ask("/props", query=query)).record().get("chat_template"))


def said_in(tokens: list[Json]) -> int:
    """In how many chunks a server would have said these tokens: it waits until a character is whole."""
    chunks, partial = 0, b""
    for token in tokens:
        piece = token.get("piece")
        partial += piece.encode() if isinstance(piece, str) else bytes(piece or ())
        try:
            partial.decode()
        except UnicodeDecodeError:
            continue
        chunks, partial = chunks + 1, b""
    return chunks


def _exact(call: Call, template: str, ids: list[int]) -> Call:
    """Goes on from the ids; those that shared a chunk count against the limit, too."""
    continues = call.continues
    assert continues is not None
    options = dict(call.generation.options)
    if "max_output_tokens" in options:
        options["max_output_tokens"] = max(1, options["max_output_tokens"] - (len(ids) - continues.tokens))
    return replace(
        call,
        generation=replace(call.generation, options=options),
        continues=replace(continues, prompt=(template, *ids), repeats=False),
    )


def _from_text(call: Call, template: str, *, thinks: bool) -> Call:
    """Goes on from the text, and what was thought before it; a thought that the template opens is closed in any case."""
    continues = call.continues
    assert continues is not None
    opened = template.rstrip().removesuffix(OPEN)
    if thinks or opened != template.rstrip():
        start = opened if opened != template.rstrip() else template
        template = f"{start}{OPEN}\n{continues.reasoning.strip()}\n{CLOSE}\n\n"
    call = from_text(call)
    assert call.continues is not None
    prompt = (template + continues.text,)
    return replace(call, continues=replace(call.continues, prompt=prompt, repeats=False))
