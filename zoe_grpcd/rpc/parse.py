"""From an InferenceSpec to an Ask, or to every field violation at once."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from zoe.inference.v1 import spec_pb2
from zoe_grpcd.core.ask import Ask, Target
from zoe_grpcd.core.errors import Violation
from zoe_grpcd.core.generation import Generation, Json
from zoe_grpcd.rpc.fields import Violations, seconds_of
from zoe_grpcd.rpc.parse_messages import Conversation
from zoe_grpcd.rpc.parse_options import OPTIONS, backend_options_of, options_of, response_format_of
from zoe_grpcd.rpc.parse_routing import able, limits_of, preferences_of, priority_of, target_of
from zoe_grpcd.rpc.parse_tools import tool_choice_of, tools_of

REQUEST_ID = re.compile(r"[\x21-\x7e]{0,128}")
REQUEST_ID_RULE = "must be at most 128 visible ASCII characters, in the field or as x-request-id"
CACHE_MODES = frozenset(spec_pb2.CachePolicy.Mode.values())


@dataclass(slots=True)
class Besides:
    """What a request brings besides its specification.

    `capability` is what the metadata demands of a request without a target: names, separated by commas. `priority` is
    that of the metadata, for a request without one. `mistakes` says what a target names that does not exist here.
    `deadline`: seconds that are left of the call; None: it has none. `peer`: where it comes from.
    """

    capability: str = ""
    priority: str = ""
    stream: bool = False
    mistakes: Callable[[Target], Iterable[Violation]] | None = None
    deadline: float | None = None
    peer: str = ""


NOTHING = Besides()


def ask_of(
    spec: spec_pb2.InferenceSpec,
    request_id: str = "",
    *,
    allow_http_images: bool = False,
    besides: Besides = NOTHING,
    notes: Violations | None = None,
) -> Ask:
    """The checked request. Raises InvalidRequest with all violations, those in `notes` included."""
    notes = notes or Violations()
    # what is not set is not touched: reading an empty message or list makes one
    present = {field.name for field, _ in spec.ListFields()}
    conversation = Conversation(notes, allow_http_images=allow_http_images)
    conversation.read(spec.messages)
    if "context" in present:
        conversation.instruct(f"Answer from this context:\n\n{spec.context}")
    generation = _generation(spec, present, conversation, notes)
    if request_id and not REQUEST_ID.fullmatch(request_id):
        notes.add("request_id", REQUEST_ID_RULE)
    if "cache" in present:
        _check_cache(spec.cache, notes)
    preferences = preferences_of(spec.routing, notes) if "routing" in present else {}
    preferences["priority"] = preferences.get("priority") or priority_of(besides.priority, notes)
    if "routing" in present or besides.deadline is not None:
        target = spec.routing.latency_target if "routing" in present else None
        preferences["limits"] = limits_of(target, besides.deadline, notes)
    ask = Ask(
        generation,
        target_of(spec.target, notes) if "target" in present else able(besides.capability),
        request_id,
        conversation.last_user_text,
        conversation.prompt_bytes,
        conversation.images,
        "context" in present,
        frozenset(conversation.features),
        _needs(conversation, generation),
        **preferences,
        include_reasoning="reasoning" in present and spec.reasoning.include_reasoning,
        metadata=dict(spec.metadata) if "metadata" in present else {},
        stream=besides.stream,
        caller=_caller_of(spec, present, besides.peer),
    )
    if besides.mistakes is not None:
        notes.found += besides.mistakes(ask.target)
    notes.refuse()
    return ask


def _generation(
    spec: spec_pb2.InferenceSpec, present: set[str], conversation: Conversation, notes: Violations
) -> Generation:
    features = conversation.features
    tools: tuple[Json, ...] = ()
    if "tools" in present:
        tools = tools_of(spec.tools, features, notes)
        for tool in spec.tools:
            conversation.count(tool.name + tool.description + tool.parameters_json_schema)
    choice, response_format = None, None
    if "tool_choice" in present:
        choice = tool_choice_of(spec.tool_choice, tools, features, notes)
    options = {} if present.isdisjoint(OPTIONS) else options_of(spec, present, features, notes)
    if "response_format" in present:
        response_format = response_format_of(spec.response_format, options, features, notes)
    return Generation(
        tuple(conversation.messages),
        tools,
        choice if tools else None,
        response_format,
        options,
        backend_options_of(spec, options, notes) if "backend_options" in present else {},
    )


def _needs(conversation: Conversation, generation: Generation) -> frozenset[str]:
    needs = ["vision"] if conversation.images else []
    if generation.tools and generation.tool_choice != "none":
        needs.append("tools")
    return frozenset(needs)


def _check_cache(cache: spec_pb2.CachePolicy, notes: Violations) -> None:
    """There is no cache yet, so that every mode is kept by doing nothing."""
    if cache.mode not in CACHE_MODES:
        notes.add("spec.cache.mode", "must be DEFAULT, BYPASS, READ_ONLY or REFRESH")
    seconds_of("spec.cache.ttl", cache, "ttl", notes)


def _caller_of(spec: spec_pb2.InferenceSpec, present: set[str], peer: str) -> str:
    """Whose request it is, for a fair queue: the end user, else the session, else the connection that it came by."""
    key = spec.routing.affinity_key if "routing" in present else ""
    return spec.end_user_id or spec.session_id or key or peer
