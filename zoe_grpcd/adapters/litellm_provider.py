"""LiteLLM's translation for one kind of backend, without LiteLLM's machinery around it.

The one rule: its classes are called with keyword arguments only, and get copies, since they change what they are given.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.generation import Call, Json
from zoe_grpcd.ports import Dialect

REMEMBERED: Final = 256  # parameter sets, and bodies without their messages
LONGEST_REMEMBERED: Final = (
    8192  # characters of a parameter set; mapping a longer one anew is no great part of it
)
NEUTRAL_MODEL: Final = "local"  # a name that LiteLLM has no rules for

Form = tuple[str, Mapping[str, str], Json]
"""URL, headers and body of a request."""


class Provider:
    """Requests and parsers of one dialect. Kept for the life of the daemon; LiteLLM has to be loaded."""

    def __init__(self, dialect: Dialect) -> None:
        from litellm import LlmProviders, ProviderConfigManager
        from litellm.utils import get_optional_params

        self._dialect = dialect
        self._config_of: Callable[..., Any] = ProviderConfigManager.get_provider_chat_config
        self._map: Callable[..., Json] = get_optional_params
        self._provider = LlmProviders(dialect.provider)
        self._configs: dict[str, Any] = {}
        self._addresses: dict[tuple[str, str], tuple[str, Mapping[str, str]]] = {}
        self._mapped: OrderedDict[tuple[str, str], Json] = OrderedDict()
        self._forms: OrderedDict[tuple[str, ...], Form] = OrderedDict()

    def request(self, call: Call) -> Form:
        """URL, headers and body of a streamed call. Raises `UpstreamError` for what LiteLLM cannot express.

        Where LiteLLM has been seen to leave the messages of a plain conversation as they are, others with the same
        roles and parameters go into the body that it made then: that saves half of the work.
        """
        messages = self._dialect.messages(call.generation)
        roles = _roles_of(messages)
        key = (call.backend.url, call.api_key, call.backend_model, roles, _asked(call))
        form = self._forms.get(key) if roles else None
        if form is None:
            before = [dict(message) for message in messages] if roles else None
            form = self._transformed(call, messages)
            if "messages" not in form[2]:  # a prompt in one text
                self._dialect.amend(form[2], call)
                return form
            messages = form[2].pop("messages")
            if messages == before:
                _remember(self._forms, key, form)
        url, headers, rest = form
        body = {**rest, "messages": messages}
        self._dialect.amend(body, call)
        return url, headers, body

    def _transformed(self, call: Call, messages: list[Json]) -> Form:
        """The request as LiteLLM makes it, with the fields that it has no words for."""
        parameters, fields = self._dialect.spell(call)
        rules = self._rules(call)
        config = self._config(rules)
        base = self._dialect.base(call.backend.url, call.backend_model)
        where: Json = {"custom_llm_provider": self._dialect.provider, "api_base": base}
        try:
            optional = self._optional(rules, parameters)
            url, headers = self._address(config, call, where)
            body: Json = config.transform_request(
                model=call.backend_model,
                messages=messages,
                optional_params=optional,
                litellm_params=where,
                headers=dict(headers),
            )
        except Exception as error:  # of any class: its mappings raise what they like
            raise _inexpressible(error) from error
        body["stream"] = True
        for name, value in fields.items():
            mine = body.get(name)
            body[name] = {**mine, **value} if isinstance(mine, dict) and isinstance(value, dict) else value
        return url, headers, body

    def parser(self, call: Call) -> Callable[[Json], Any]:
        """A fresh parser for one stream: raw object -> LiteLLM's chunk. It keeps state and changes the object."""
        config = self._config(self._rules(call))
        iterator = config.get_model_response_iterator(streaming_response=(), sync_stream=False)
        parse: Callable[[Json], Any] = iterator.chunk_parser
        return parse

    def _rules(self, call: Call) -> str:
        """The name by which LiteLLM chooses a model's rules. Behind another server, "gpt-4" or "o3" is just a name."""
        if self._dialect.provider != "openai" or _is_openai(call.backend.url):
            return call.backend_model
        return NEUTRAL_MODEL

    def _config(self, rules: str) -> Any:
        config = self._configs.get(rules)
        if config is None:
            if len(self._configs) >= REMEMBERED:
                self._configs.clear()
            config = self._configs[rules] = self._config_of(model=rules, provider=self._provider)
        return config

    def _address(self, config: Any, call: Call, where: Json) -> tuple[str, Mapping[str, str]]:
        key = (where["api_base"], call.api_key)
        known = self._addresses.get(key)
        if known is None:
            if len(self._addresses) >= REMEMBERED:
                self._addresses.clear()
            common: Json = {"api_key": call.api_key or None, "api_base": where["api_base"]}
            common |= {"model": call.backend_model, "optional_params": {}, "litellm_params": where}
            headers = config.validate_environment(headers={}, messages=[], **common)
            url = config.get_complete_url(stream=True, **common)
            bearer = {"Authorization": f"Bearer {call.api_key}"} if call.api_key else {}  # Triton's has none
            known = self._addresses[key] = (url, {"Content-Type": "application/json", **bearer, **headers})
        return known

    def _optional(self, rules: str, parameters: Json) -> Json:
        """LiteLLM's mapping of OpenAI's parameters (80 us), remembered since callers repeat themselves."""
        key = (rules, repr(parameters))
        known = self._mapped.get(key)
        if known is None:
            known = self._map(
                model=rules,
                custom_llm_provider=self._dialect.provider,
                stream=True,
                drop_params=False,
                **parameters,
            )
            known.pop("max_retries", None)
            known |= known.pop("extra_body", None) or {}
            _remember(self._mapped, key, known)
        return {name: list(value) if isinstance(value, list) else value for name, value in known.items()}


def _roles_of(messages: list[Json]) -> str:
    """The roles of a conversation in plain text, in order; empty if there is more in it than roles and texts."""
    roles = []
    for message in messages:
        content = message.get("content")
        if not content or type(content) is not str or len(message) != 2:
            return ""
        roles.append(message["role"])
    return " ".join(roles)


def _asked(call: Call) -> str:
    """All that a dialect may spell, in one text; the messages are no part of it."""
    g = call.generation
    wanted = (g.options, g.backend_options, g.tools, g.tool_choice, g.response_format)
    return repr((wanted, call.continues is None, call.priority, call.defaults))


def _remember(memory: OrderedDict[Any, Any], key: tuple[str, ...], value: Any) -> None:
    """Keeps what was made last; very long keys are not worth their memory."""
    if sum(map(len, key)) <= LONGEST_REMEMBERED:
        memory[key] = value
        if len(memory) > REMEMBERED:
            memory.popitem(last=False)


@lru_cache(maxsize=REMEMBERED)  # taking an address apart costs more than building the rest of the body
def _is_openai(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "openai.com" or host.endswith(".openai.com")


def _inexpressible(error: Exception) -> UpstreamError:
    """What LiteLLM cannot translate is wrong in the request: an unsupported parameter, arguments that are no JSON."""
    return UpstreamError(Fault.REJECTED, str(error) or type(error).__name__)
