"""One entry of `model_list`, read: where it runs, and what is said of it.

Rule: an entry is a deployment; what it says of a server, of a model and of itself is told apart here.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from zoe_grpcd.config.backends import Params
from zoe_grpcd.config.litellm.places import Place, name_of, open_ended, place_of, provider_and_name
from zoe_grpcd.config.litellm.references import References, seconds
from zoe_grpcd.config.litellm.source import Findings, Part
from zoe_grpcd.config.problem import Path
from zoe_grpcd.core.options import ALIASES, CONTRACT, HIJACKING
from zoe_grpcd.pricelist import CAPABILITIES, listing

_CHATS = {"chat", "completion", "responses"}
_BUNDLE = set(Params.model_fields) | set(ALIASES) | CONTRACT
# What only LiteLLM's own calls understand; an entry of a cloud service that says it stays with those.
_LITELLM_ALONE = {
    "organization", "api_version", "extra_headers", "headers", "additional_drop_params", "drop_params", "merge_reasoning_content_in_choices",
    "allowed_openai_params", "thinking", "web_search_options", "cache_control_injection_points", "ssl_verify",
}  # fmt: skip
# What says nothing of a call.
_OF_THE_ROUTER = {
    "rpm", "tpm", "order", "max_budget", "budget_duration", "num_retries", "max_retries", "cooldown_time",
    "use_in_pass_through", "mock_response", "input_cost_per_second", "use_litellm_proxy", "max_file_size_mb",
    "guardrails", "auto_router_config", "auto_router_config_path", "auto_router_default_model", "id",
}  # fmt: skip
# The list of models lacks some.
_PURPOSES = re.compile(
    r"(?P<image_generation>dall-e|gpt-image|stable-diffusion)|(?P<embedding>embed)|(?P<rerank>rerank)"
    r"|(?P<audio_transcription>whisper)|(?P<audio_speech>(?:^|[/-])tts-\d)"
)
_OF_LITELLM = re.compile(
    "cost|pricing|uplift|_router_|identity|federation|^(itpm|otpm|region_name|tag_regex|litellm_.*|keepalive_seconds|"
    "default_api_key_.*|configurable_clientside_auth_params|provider_affinity_header|output_vector_size|"
    "(s3|gcs|milvus|valkey|vector_store)_.*|.*timeout_by_service_tier)$"
)
"""More of that sort, which a server of one's own would refuse."""
_PRICES = {
    "input_cost_per_token": "input_per_mtok_usd",
    "output_cost_per_token": "output_per_mtok_usd",
    "cache_read_input_token_cost": "cached_input_per_mtok_usd",
}


@dataclass(slots=True)
class Entry:
    """A deployment. `wildcard`: it stands for all models of its server."""

    path: Path
    model_name: str
    place: Place
    litellm_params: dict[str, Any] | None = None
    bundle: dict[str, Any] = field(default_factory=dict)
    weight: float | None = None
    rate: float | None = None  # requests a minute, by which LiteLLM shares out where no weight is given
    timeout: Any = None
    slots: int | None = None
    tags: tuple[str, ...] = ()
    cost: dict[str, float] = field(default_factory=dict)
    context_tokens: Any = None
    capabilities: tuple[str, ...] = ()
    wildcard: bool = False

    @property
    def server(self) -> str:
        """Equal for entries of one server."""
        return json.dumps(
            [self.place.kind, self.place.url, self.place.api_key, self.litellm_params], sort_keys=True
        )

    @property
    def backend_name(self) -> str:
        """A name for its server."""
        return name_of(self.place)


class Reader:
    """Reads entries. `credentials`: named sets of parameters; `defaults`: parameters of all."""

    def __init__(self, references: References, credentials: dict[str, Any], defaults: dict[str, Any]) -> None:
        self._references = references
        self._findings: Findings = references.findings
        self._credentials = credentials
        self._defaults = defaults

    def read(self, path: Path, given: Any) -> Entry | None:
        """None: it is none, or no chat model; that is said."""
        whole = Part(path, dict(given) if isinstance(given, dict) else {})
        name, params, info = whole.take("model_name"), whole.part("litellm_params"), whole.part("model_info")
        if not isinstance(name, str) or not isinstance(params.values.get("model"), str):
            self._findings.mistake(path, "needs a model_name, and litellm_params with a model")
            return None
        self._spread(params)
        if (mode := info.text("mode") or _purpose(params.values["model"]) or "chat") not in _CHATS:
            self._findings.note(path, f"is no chat model but for {mode}: left out")
            return None
        entry = self._entry(path, name, params, info)
        if entry is not None:
            for part in (whole, params, info):
                self._findings.notes += part.left()
        return entry

    def _spread(self, params: Part) -> None:
        """Fills in what is said elsewhere; what the entry says itself comes first."""
        named = params.text("litellm_credential_name")
        values = self._credentials.get(named)
        if named and values is None:
            self._findings.mistake((*params.path, "litellm_credential_name"), "is not in credential_list")
        params.values = {**self._defaults, **(values or {}), **params.values}

    def _entry(self, path: Path, name: str, params: Part, info: Part) -> Entry | None:
        place = self._place(params)
        entry = Entry(path, name, place, wildcard="*" in name or "*" in place.model)
        if entry.wildcard:
            found = open_ended(place)
            if (
                found is None
                or not place.provider
                or place.model.partition("*")[0].strip("/") not in {"", place.provider}
            ):
                self._findings.note(
                    path, "stands for any model, which nobody can list: left out; name the models"
                )
                return None
            entry.place = found
        listed = listing(place.provider, place.model) if place.provider else None
        if listed and not _CHATS & listed.capabilities:
            self._findings.note(path, f"is no chat model but for {', '.join(listed.capabilities)}: left out")
            return None
        self._deployment(entry, params, info)
        self._model(entry, params, info)
        self._call(entry, params, info)
        return entry

    def _place(self, params: Part) -> Place:
        base = params.text("api_base") or params.text("base_url")
        provider, name = provider_and_name(params.text("model"), params.text("custom_llm_provider"), base)
        owner = f"{provider or 'litellm'}_api_key"
        key = str(self._references.secret(params.text("api_key"), (*params.path, "api_key"), owner))
        base = self._references.text(base)
        place = place_of(provider, name, base, key)
        if place.kind in {"openai", "anthropic"} and _LITELLM_ALONE & params.values.keys() - {"drop_params"}:
            return Place("litellm", base, key, f"{provider}/{name}", provider)
        return place

    def _deployment(self, entry: Entry, params: Part, info: Part) -> None:
        """What it says of its share and its limits."""
        entry.weight = _number(params.take("weight"))
        entry.rate = _number(params.values.get("rpm"))
        whole, first = params.take("timeout"), params.take("stream_timeout")
        if first and whole is not None:
            self._findings.note(
                (*params.path, "timeout"), "gives way to stream_timeout, the time to the first token"
            )
        entry.timeout = seconds(first or whole)
        slots = params.take("max_parallel_requests")
        entry.slots = slots if isinstance(slots, int) and slots > 0 else None
        tags = params.take("tags", [])
        entry.tags = tuple(str(tag) for tag in tags) if isinstance(tags, list) else ()

    def _model(self, entry: Entry, params: Part, info: Part) -> None:
        """What it says of its model."""
        for theirs, ours in _PRICES.items():
            price = _number(info.take(theirs)) if info.values.get(theirs) is not None else None
            own = _number(params.take(theirs))
            if (price := price if own is None else own) is not None:
                entry.cost[ours] = round(price * 1e6, 9)
        entry.context_tokens = info.take("max_input_tokens") or info.values.get("max_tokens")
        info.take("max_tokens")
        can = [name for flag, name in CAPABILITIES.items() if info.values.get(flag) is True]
        entry.capabilities = tuple(can)
        for flag in CAPABILITIES:
            if info.values.get(flag) is True:
                info.take(flag)

    def _call(self, entry: Entry, params: Part, info: Part) -> None:
        """What goes along with each request: our bundle, and for kind litellm the rest as LiteLLM calls it."""
        for key in _BUNDLE & params.values.keys():
            value = self._references.plain(params.take(key))
            ours = key if key in Params.model_fields else ALIASES.get(key, key)
            entry.bundle[ours] = _keep_alive(value) if key == "keep_alive" else value
        base_model = info.take("base_model")
        if entry.place.kind == "litellm":
            self._litellm(entry, params, base_model)
            return
        theirs = params.values.keys() - _OF_THE_ROUTER - _LITELLM_ALONE - HIJACKING
        for key in sorted(key for key in theirs if not _OF_LITELLM.search(str(key))):
            value = self._references.plain(params.take(key))
            more = value if key == "extra_body" and isinstance(value, dict) else {key: value}
            for refused in sorted(more.keys() & HIJACKING):
                self._findings.note(
                    (*params.path, key, refused), "has no counterpart: it belongs to the request"
                )
            entry.bundle |= {name: value for name, value in more.items() if name not in HIJACKING}

    def _litellm(self, entry: Entry, params: Part, base_model: Any) -> None:
        place = entry.place
        rest: dict[str, Any] = {"model": place.model}
        for key in sorted(params.values.keys() - _OF_THE_ROUTER):
            owner = place.provider or "litellm"
            rest[key] = self._references.hidden(params.take(key), (*params.path, key), owner)
        if place.api_key:
            rest["api_key"] = place.api_key
        if place.url:
            rest["api_base"] = place.url
        if base_model:
            rest["base_model"] = self._references.plain(base_model)
        entry.litellm_params = rest
        entry.place = Place("litellm", "", "", place.model, place.provider)


def _purpose(model: str) -> str:
    """What a model is for by its name; empty: it tells nothing, as those of chat models do."""
    found = _PURPOSES.search(model.lower())
    return next((name for name, part in found.groupdict().items() if part), "") if found else ""


def _number(value: Any) -> float | None:
    try:
        return None if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def _keep_alive(value: Any) -> Any:
    """Ollama takes seconds as a number."""
    return f"{value}s" if isinstance(value, int) and not isinstance(value, bool) and value > 0 else value
