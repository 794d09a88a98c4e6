"""Dispatch through `litellm.acompletion`: cloud kinds, and any kind whose contract check failed at start.

The one rule: LiteLLM retries nothing, limits nothing and invents no finish reason here; the router and this file see to it.
"""

import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from zoe_grpcd.adapters.answer import Answer
from zoe_grpcd.adapters.dialects import CLOUD, DIALECTS
from zoe_grpcd.adapters.dialects.openai import counted
from zoe_grpcd.adapters.dialects.refusals import retry_delay, said, scrub
from zoe_grpcd.core.answer import Event, Measured, Usage
from zoe_grpcd.core.continuation import from_text
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.generation import Call, Json
from zoe_grpcd.ports import Dialect

SILENCE: Final = 3600.0  # seconds, and always the same: LiteLLM makes a new client for each other value
NO_KEY: Final = "none"  # else LiteLLM would send a key from the environment to a backend that has none

# LiteLLM's and the HTTP libraries' classes, by name, so that none has to be imported before it is needed
_FAULTS: Final[Mapping[str, Fault]] = {
    "ContextWindowExceededError": Fault.CONTEXT_TOO_LONG,
    "UnsupportedParamsError": Fault.REJECTED,
    "ContentPolicyViolationError": Fault.REJECTED,
    "AuthenticationError": Fault.UNAUTHORIZED,
    "PermissionDeniedError": Fault.UNAUTHORIZED,
    "Timeout": Fault.TIMEOUT,
}
_NO_CONNECTION: Final = frozenset(
    {"ConnectError", "ConnectTimeout", "ClientConnectorError", "ConnectionTimeoutError", "ConnectionError"}
)
_NOBODY_THERE: Final = frozenset({"ConnectError", "ClientConnectorError", "ConnectionRefusedError"})
_BROKEN_CONNECTION: Final = frozenset(
    {"RemoteProtocolError", "ReadError", "WriteError", "ServerDisconnectedError", "ClientPayloadError"}
)
_OLLAMA_NAMES: Final[Mapping[str, str]] = {
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "stop": "stop",
    "max_tokens": "num_predict",
}


class FullDispatcher:
    """See `Dispatcher`. One for all kinds; `params` are LiteLLM's arguments for a backend, by its name."""

    def __init__(self, params: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._params = params or {}

    async def stream(self, call: Call) -> AsyncGenerator[list[Event]]:
        """See `Dispatcher.stream`. An empty list comes first, when the backend has accepted the request."""
        dialect = DIALECTS.get(call.backend.kind) or CLOUD[call.backend.kind]
        upstream = await self._opened(call, dialect)
        try:
            yield []
            answer = Answer(call.generation.options.get("top_logprobs"))
            finish, usage, model = None, None, ""
            async for chunk in _chunks(upstream, dialect):
                answer.chunk(chunk.choices)
                finish = next((c.finish_reason for c in chunk.choices if c.finish_reason), finish)
                usage = _usage(chunk) or usage
                model = chunk.model or model
                if events := answer.take():
                    yield events
            if finish is None or not _is_finished(upstream):
                raise UpstreamError(Fault.CUT, "the answer ended without a finish reason")
            yield answer.end(finish, usage, Measured(), model)
        finally:
            await upstream.aclose()

    async def resumed(self, call: Call) -> Call:
        """See `Dispatcher.resumed`: from the text so far, whatever was hoped for."""
        return from_text(call)

    async def close(self) -> None:
        """Closes LiteLLM's own connections."""
        from litellm.llms.custom_httpx.async_client_cleanup import close_litellm_async_clients

        await close_litellm_async_clients()

    async def _opened(self, call: Call, dialect: Dialect) -> Any:
        """LiteLLM's stream, once the backend has accepted the call.

        Which values a model does not take, LiteLLM knows for each, and says before it sends anything: those that nobody
        asked for, it can do without.
        """
        import litellm

        try:
            try:
                return await _asked(self._arguments(call, dialect))
            except litellm.BadRequestError as error:
                less = self._with_less(call, dialect, error)
                if less is None:
                    raise
            return await _asked(less)
        except UpstreamError:
            raise
        except Exception as error:  # of any class: foreign code
            raise _translated(error, dialect, begun=False) from error

    def _with_less(self, call: Call, dialect: Dialect, error: Exception) -> Json | None:
        """The arguments without those that were refused, if nobody asked for these; else None.

        Where LiteLLM makes a stream of a whole answer, as for Groq and a schema (1.106.2), the service is sent
        `stream_options` without a stream; and old versions of Azure's interface know none.
        """
        if type(error).__name__ == "UnsupportedParamsError":
            return self._arguments(_without_defaults(call), dialect) if call.defaults else None
        if "stream_options" not in str(error):
            return None
        arguments = self._arguments(call, dialect)
        del arguments["stream_options"]
        return arguments

    def _arguments(self, call: Call, dialect: Dialect) -> Json:
        if dialect.provider and _misleads(call.backend_model, dialect):
            raise UpstreamError(
                Fault.MODEL_MISSING, "LiteLLM takes what has such a name for one of Replicate's"
            )
        parameters, fields = dialect.spell(call)
        if (
            "options" in fields
        ):  # `extra_body` replaces whole fields, so all of Ollama's options have to be in it
            moved = {
                theirs: parameters.pop(name) for name, theirs in _OLLAMA_NAMES.items() if name in parameters
            }
            fields = fields | {"options": moved | fields["options"]}
        arguments: Json = {
            "model": call.backend_model,
            "messages": dialect.messages(call.generation),
            "stream": True,
            "stream_options": {"include_usage": True},
            "timeout": _timeout(call, dialect),
            "max_retries": 0,
            "drop_params": False,
            "_skip_mcp_handler": True,  # it would import a package that has nothing to do with a call
            **parameters,
        }
        if dialect.provider:
            arguments["custom_llm_provider"] = dialect.provider
            arguments["api_key"] = call.api_key or NO_KEY
        elif call.api_key:
            arguments["api_key"] = call.api_key
        if call.backend.url:
            arguments["api_base"] = dialect.base(call.backend.url, call.backend_model)
        if fields:
            arguments["extra_body"] = fields
        if call.trace:
            arguments["extra_headers"] = dict(call.trace)
        return arguments | dict(self._params.get(call.backend.name, {}))


async def _asked(arguments: Json) -> Any:
    """The stream of a request that has been sent: for Gemini, LiteLLM 1.106.2 sends it when the first chunk is read."""
    import litellm

    upstream: Any = await litellm.acompletion(**arguments)
    try:
        if (send := getattr(upstream, "fetch_stream", None)) is not None:
            await send()
    except BaseException:
        await upstream.aclose()
        raise
    return upstream


def _is_finished(upstream: Any) -> bool:
    """Whether the service gave a finish reason: LiteLLM makes one up where there was none.

    It keeps Gemini's in another place than those of all others (1.106.2).
    """
    places = ("received_finish_reason", "intermittent_finish_reason")
    kept = [getattr(upstream, place) for place in places if hasattr(upstream, place)]
    return not kept or any(kept)


def _without_defaults(call: Call) -> Call:
    asked = {name: value for name, value in call.generation.options.items() if name not in call.defaults}
    return replace(call, generation=replace(call.generation, options=asked), defaults=frozenset())


def _misleads(model: str, dialect: Dialect) -> bool:
    """Whether LiteLLM 1.106.2 sends, or reads, this as Replicate's, whatever provider it is told: "my-replicate" of Ollama."""
    return "replicate" in model if dialect.provider == "ollama_chat" else model.startswith("replicate")


def _timeout(call: Call, dialect: Dialect) -> Any:
    if dialect.provider != "openai":
        return SILENCE  # LiteLLM would take the longest of the phases for all
    from httpx import Timeout

    return Timeout(SILENCE, connect=call.backend.connect_timeout)


async def _chunks(upstream: Any, dialect: Dialect) -> AsyncGenerator[Any]:
    try:
        async for chunk in upstream:
            yield chunk
    except Exception as error:  # of any class: foreign code
        raise _translated(error, dialect, begun=True) from error


def _usage(chunk: Any) -> Usage | None:
    """What the backend counted. LiteLLM's estimate, for one that doesn't, is all zeros here.

    Where no usage was asked for, LiteLLM hides it in the last chunk.
    """
    usage = getattr(chunk, "usage", None) or getattr(chunk, "_hidden_params", {}).get("usage")
    if usage is None or not (usage.prompt_tokens or usage.completion_tokens):
        return None
    return counted(usage.model_dump())


def _translated(error: Exception, dialect: Dialect, *, begun: bool) -> UpstreamError:
    """One table for all that LiteLLM raises; what the class doesn't tell, the dialect finds in status and text."""
    error = getattr(error, "original_exception", None) or error
    names = {kind.__name__ for cause in _causes(error) for kind in type(cause).__mro__}
    whole = str(getattr(error, "message", None) or error)
    text = _plain(whole)
    status = getattr(error, "status_code", None) or 0
    if begun:
        return UpstreamError(Fault.CUT, text, http_status=status)
    answered = 400 <= status < 500 and status != 408  # on a second connection, where LiteLLM made one
    if names & (_NO_CONNECTION | _BROKEN_CONNECTION) and not answered:
        return UpstreamError(Fault.REFUSED, text, gone=not names.isdisjoint(_NOBODY_THERE))
    headers = getattr(error, "litellm_response_headers", None) or getattr(error, "headers", None) or {}
    told = dialect.refusal(status or 500, text, headers)
    told.retry_after = told.retry_after or retry_delay(whole)
    known = next((_FAULTS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _FAULTS), None)
    if known is not None and known is not told.fault:
        return UpstreamError(known, text, http_status=status, retry_after=told.retry_after)
    return told


_WRAPPING: Final = re.compile(
    r"^(?:(?:litellm\.)?\w+(?:Error|Exception|Timeout)(?:: | - | (?=\w+Error - )))+"
)
_ADVICE: Final = re.compile(r" To drop unsupported .*", re.DOTALL)  # for whoever writes Python
_BODY: Final = re.compile(r"^b?(['\"]?)(\{.*\})\1", re.DOTALL)


def _plain(text: str) -> str:
    """What the server said, without the names and quotes that LiteLLM puts around it."""
    text = _ADVICE.sub("", _WRAPPING.sub("", text))
    body = _BODY.match(text)
    return said(body[2]) if body else scrub(text)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
