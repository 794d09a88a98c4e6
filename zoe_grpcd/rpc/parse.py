"""From an InferenceSpec to an Ask, or to every field violation at once."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.duration_pb2 import Duration

from zoe.inference.v1 import routing_pb2, spec_pb2
from zoe_grpcd.core.answer import Seam
from zoe_grpcd.core.ask import NO_LIMITS, Ask, Limits, Target
from zoe_grpcd.core.errors import Violation
from zoe_grpcd.core.generation import Generation, Json
from zoe_grpcd.core.licence import Locality
from zoe_grpcd.core.options import LENGTHS, forbidden, length_in, repeated
from zoe_grpcd.core.strategies import STRATEGIES
from zoe_grpcd.rpc import endless
from zoe_grpcd.rpc.fields import Violations, plain
from zoe_grpcd.rpc.parse_messages import Conversation
from zoe_grpcd.rpc.parse_tools import tool_choice_of, tools_of

# field of SamplingParams -> lowest and highest value
RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 2.0),
    "min_p": (0.0, 1.0),
    "frequency_penalty": (-2.0, 2.0),
    "presence_penalty": (-2.0, 2.0),
    "top_k": (0, 2**31 - 1),
    "seed": (-(2**63), 2**63 - 1),
}
# the same for those that must be above the lowest
RANGES_ABOVE: dict[str, tuple[float, float]] = {"top_p": (0.0, 1.0), "repetition_penalty": (0.0, 10.0)}
MAX_STOPS = 16
MAX_TOP_LOGPROBS = 20
MAX_ATTEMPTS = 10
# Fields of an InferenceSpec that say how an answer is to be made.
OPTIONS = frozenset(
    {"sampling", "max_output_tokens", "stop", "top_logprobs", "parallel_tool_calls", "reasoning"}
)
# Options that are no fields of the specification by the same name.
ELSEWHERE = {"reasoning_effort": "reasoning.effort", "grammar": "response_format.grammar"}
SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{0,64}")
LONGEST_MODEL = (
    512  # characters of a name: it is kept with the decision, and what is known of it is remembered
)
REQUEST_ID = re.compile(r"[\x21-\x7e]{0,128}")
REQUEST_ID_RULE = "must be at most 128 visible ASCII characters, in the field or as x-request-id"
LOCALITIES = {
    routing_pb2.LOCALITY_UNSPECIFIED: Locality.UNSPECIFIED,
    routing_pb2.LOCALITY_LOCAL_ONLY: Locality.LOCAL_ONLY,
    routing_pb2.LOCALITY_PREFER_LOCAL: Locality.PREFER_LOCAL,
    routing_pb2.LOCALITY_ANY: Locality.ANY,
}
PRIORITIES: dict[int, str] = {
    number: name.removeprefix("PRIORITY_").lower() for name, number in routing_pb2.Priority.items() if number
}
NORMAL = "normal"
LEVELS = {number: name.removeprefix("LEVEL_") for name, number in routing_pb2.LatencyTarget.Level.items()}
LEVELS[routing_pb2.LatencyTarget.LEVEL_UNSPECIFIED] = ""
EFFORTS = {
    spec_pb2.ReasoningConfig.EFFORT_NONE: "none",
    spec_pb2.ReasoningConfig.EFFORT_LOW: "low",
    spec_pb2.ReasoningConfig.EFFORT_MEDIUM: "medium",
    spec_pb2.ReasoningConfig.EFFORT_HIGH: "high",
}
CACHE_MODES = frozenset(spec_pb2.CachePolicy.Mode.values())
SEAMS = {routing_pb2.SeamQuality.Value(f"SEAM_QUALITY_{seam.name}"): seam for seam in Seam}
SEAMS[routing_pb2.SEAM_QUALITY_UNSPECIFIED] = Seam.TEXT_PREFILL
ANYTHING = Target()


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
    preferences = _preferences(spec.routing, notes) if "routing" in present else {}
    preferences["priority"] = preferences.get("priority") or _priority(besides.priority, notes)
    if "routing" in present or besides.deadline is not None:
        target = spec.routing.latency_target if "routing" in present else None
        preferences["limits"] = _limits_of(target, besides.deadline, notes)
    ask = Ask(
        generation,
        _target(spec.target, notes) if "target" in present else _able(besides.capability),
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
    options = {} if present.isdisjoint(OPTIONS) else _options(spec, present, features, notes)
    if "response_format" in present:
        response_format = _response_format(spec.response_format, options, features, notes)
    return Generation(
        tuple(conversation.messages),
        tools,
        choice if tools else None,
        response_format,
        options,
        _backend_options(spec, options, notes) if "backend_options" in present else {},
    )


def _needs(conversation: Conversation, generation: Generation) -> frozenset[str]:
    needs = ["vision"] if conversation.images else []
    if generation.tools and generation.tool_choice != "none":
        needs.append("tools")
    return frozenset(needs)


def _options(
    spec: spec_pb2.InferenceSpec, present: set[str], features: set[str], notes: Violations
) -> dict[str, Any]:
    """What the caller set, by the contract's names; each is noted as a feature."""
    options = _sampling(spec.sampling, notes) if "sampling" in present else {}
    features |= {f"sampling.{name}" for name in options}
    limits = _limits(spec, present, notes)
    features |= {"reasoning.effort" if name == "reasoning_effort" else name for name in limits}
    return options | limits


def _sampling(sampling: spec_pb2.SamplingParams, notes: Violations) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for field, value in sampling.ListFields():
        path = f"spec.sampling.{field.name}"
        if field.name == "logit_bias":
            for token, bias in value.items():
                notes.between(f"{path}[{token}]", bias, -100.0, 100.0)
            options["logit_bias"] = {token: _shortest(bias) for token, bias in value.items()}
            continue
        if field.name in RANGES_ABOVE:
            notes.above(path, value, *RANGES_ABOVE[field.name])
        else:
            notes.between(path, value, *RANGES[field.name])
        options[field.name] = _shortest(value) if isinstance(value, float) else value
    return options


def _shortest(value: float) -> float:
    """A float32 of the wire as it was meant: 0.7 is 0.699999988 otherwise."""
    return float(f"{value:.7g}")


def _limits(spec: spec_pb2.InferenceSpec, present: set[str], notes: Violations) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if "max_output_tokens" in present:
        if not spec.max_output_tokens:
            notes.add("spec.max_output_tokens", "must be at least 1, or left out")
        options["max_output_tokens"] = spec.max_output_tokens
    if "stop" in present:
        if len(spec.stop) > MAX_STOPS or not all(spec.stop):
            notes.add("spec.stop", f"must be at most {MAX_STOPS} texts, none of them empty")
        options["stop"] = list(spec.stop)
    if "top_logprobs" in present:
        notes.between("spec.top_logprobs", spec.top_logprobs, 0, MAX_TOP_LOGPROBS)
        options["top_logprobs"] = spec.top_logprobs
    if "parallel_tool_calls" in present:
        options["parallel_tool_calls"] = spec.parallel_tool_calls
    if "reasoning" in present and spec.reasoning.effort:
        if spec.reasoning.effort in EFFORTS:
            options["reasoning_effort"] = EFFORTS[spec.reasoning.effort]
        else:
            notes.add("spec.reasoning.effort", "must be NONE, LOW, MEDIUM or HIGH")
    return options


def _response_format(
    wanted: spec_pb2.ResponseFormat, options: dict[str, Any], features: set[str], notes: Violations
) -> Json | None:
    kind = wanted.WhichOneof("format")
    if kind is None or kind == "text":
        return None
    features.add(f"response_format.{kind}")
    if kind == "json_object":
        return {"type": "json_object"}
    if kind == "grammar":
        if not wanted.grammar:
            notes.add("spec.response_format.grammar", "must not be empty")
        elif problem := endless.of_grammar(wanted.grammar):
            notes.add("spec.response_format.grammar", problem)
        options["grammar"] = wanted.grammar
        return None
    asked = wanted.json_schema
    path = "spec.response_format.json_schema"
    if not SCHEMA_NAME.fullmatch(asked.name):
        notes.add(f"{path}.name", "must be at most 64 letters, digits, '_' or '-'")
    schema = notes.schema(f"{path}.schema_json", asked.schema_json)
    shaped = {"name": asked.name or "response", "schema": schema, "strict": asked.strict}
    return {"type": "json_schema", "json_schema": shaped}


def _backend_options(
    spec: spec_pb2.InferenceSpec, options: dict[str, Any], notes: Violations
) -> dict[str, Any]:
    """In the backend's own words, but for what `options` say already: which of both would win is each server's whim."""
    path = "spec.backend_options"
    fields = spec.backend_options.fields
    own = {key: plain(f"{path}.{key}", value, notes) for key, value in fields.items()}
    for key in forbidden(own):
        notes.add(f"{path}.{key}", "is not an option of a backend; the daemon decides it")
    for key, name in repeated(own, options).items():
        notes.add(f"{path}.{key}", f"must be left out: {_field_of(name)} says it")
    for key in sorted(own.keys() & LENGTHS)[1:]:
        notes.add(f"{path}.{key}", "must be left out: another option says how long an answer may be")
    if (length := length_in(own)) is not None:
        options["max_output_tokens"] = length
    if isinstance(grammar := own.get("grammar"), str) and (problem := endless.of_grammar(grammar)):
        notes.add(f"{path}.grammar", problem)
    if isinstance(schema := own.get("json_schema"), dict) and (problem := endless.of_schema(schema)):
        notes.add(f"{path}.json_schema", problem)
    window = own.get("num_ctx")
    if window is not None and (type(window) is not int or window < 1):
        notes.add(f"{path}.num_ctx", "must be a whole number of tokens, at least 1")
    return own


def _field_of(option: str) -> str:
    if option in spec_pb2.SamplingParams.DESCRIPTOR.fields_by_name:
        return f"spec.sampling.{option}"
    return f"spec.{ELSEWHERE.get(option, option)}"


def _check_cache(cache: spec_pb2.CachePolicy, notes: Violations) -> None:
    """There is no cache yet, so that every mode is kept by doing nothing."""
    if cache.mode not in CACHE_MODES:
        notes.add("spec.cache.mode", "must be DEFAULT, BYPASS, READ_ONLY or REFRESH")
    seconds_of("spec.cache.ttl", cache, "ttl", notes)


def _able(capability: str) -> Target:
    names = frozenset(name.strip() for name in capability.split(",")) - {""} if capability else None
    return Target(required=names) if names else ANYTHING


def _target(target: routing_pb2.Target, notes: Violations) -> Target:
    given = [field.name for field, _ in target.ListFields()]
    if given == ["model"] and 0 < len(target.model) <= LONGEST_MODEL:
        return Target(target.model)  # the usual ones
    if given == ["auto"] and not target.auto.ListFields():
        return ANYTHING
    hint = target.capability
    if target.WhichOneof("selector") == "model" and not target.model:
        notes.add("spec.target.model", "must not be empty; leave the target out for auto")
    for path, names in (("model", (target.model,)), ("fallback_models", target.fallback_models)):
        if any(len(name) > LONGEST_MODEL for name in names):
            notes.add(f"spec.target.{path}", f"must be at most {LONGEST_MODEL} characters long")
    if target.auto.profile:
        notes.add("spec.target.auto.profile", "must be empty: no profiles are defined in this version")
    lists = {
        "capability.required": hint.required,
        "capability.preferred": hint.preferred,
        "fallback_models": target.fallback_models,
        "allowed_backends": target.allowed_backends,
        "excluded_backends": target.excluded_backends,
    }
    for path, names in lists.items():
        if not all(names):
            notes.add(f"spec.target.{path}", "must hold no empty name")
    return Target(
        target.model,
        frozenset(hint.required),
        frozenset(hint.preferred),
        dict(hint.labels),
        hint.min_context_tokens,
        target.auto.intent,
        tuple(target.fallback_models),
        frozenset(target.allowed_backends),
        frozenset(target.excluded_backends),
    )


def _preferences(routing: routing_pb2.RoutingPreferences, notes: Violations) -> dict[str, Any]:
    if routing.locality not in LOCALITIES:
        notes.add("spec.routing.locality", "must be LOCAL_ONLY, PREFER_LOCAL or ANY")
    if routing.priority and routing.priority not in PRIORITIES:
        notes.add("spec.routing.priority", "must be BATCH, LOW, NORMAL, HIGH or CRITICAL")
    level = LEVELS.get(routing.latency_target.level)
    if level is None:
        notes.add("spec.routing.latency_target.level", "must be ULTRA_LOW, LOW, MEDIUM or HIGH")
    notes.between("spec.routing.cost.weight", routing.cost.weight, 0.0, 1.0)
    limit = None
    if routing.cost.HasField("max_cost_micro_usd"):
        if routing.cost.max_cost_micro_usd < 0:
            notes.add("spec.routing.cost.max_cost_micro_usd", "must not be negative")
        limit = routing.cost.max_cost_micro_usd / 1e6
    if routing.strategy and routing.strategy not in STRATEGIES:
        notes.add("spec.routing.strategy", f"must be one of {', '.join(STRATEGIES)}, or left out")
    _check_failover(routing.failover, notes)
    return {
        "priority": PRIORITIES.get(routing.priority, ""),
        "locality": LOCALITIES.get(routing.locality, Locality.UNSPECIFIED),
        "strategy": routing.strategy,
        "latency_level": level or "",
        "cost_weight": routing.cost.weight or None,
        "max_cost_usd": limit,
        "max_attempts": routing.failover.max_attempts or None,
        "hedge_after": seconds_of(
            "spec.routing.failover.hedge_after", routing.failover, "hedge_after", notes
        ),
        "allow_different_model": routing.failover.allow_different_model,
        "minimum_seam": SEAMS.get(routing.failover.minimum_seam, Seam.TEXT_PREFILL),
        "max_queue_time": seconds_of("spec.routing.max_queue_time", routing, "max_queue_time", notes),
    }


def _limits_of(target: routing_pb2.LatencyTarget | None, deadline: float | None, notes: Violations) -> Limits:
    """What there is to keep of the deadline and of the caller's latency target."""
    if target is None:
        return Limits(deadline)
    path = "spec.routing.latency_target"
    first = seconds_of(f"{path}.time_to_first_token", target, "time_to_first_token", notes)
    total = seconds_of(f"{path}.total", target, "total", notes)
    return (
        NO_LIMITS if deadline is None and first is None and total is None else Limits(deadline, first, total)
    )


def _caller_of(spec: spec_pb2.InferenceSpec, present: set[str], peer: str) -> str:
    """Whose request it is, for a fair queue: the end user, else the session, else the connection that it came by."""
    key = spec.routing.affinity_key if "routing" in present else ""
    return spec.end_user_id or spec.session_id or key or peer


def _priority(of_metadata: str, notes: Violations) -> str:
    """That of the metadata, else normal."""
    if not of_metadata:
        return NORMAL
    if of_metadata.lower() not in PRIORITIES.values():
        notes.add("x-priority", "must be batch, low, normal, high or critical")
    return of_metadata.lower()


def _check_failover(failover: routing_pb2.FailoverPolicy, notes: Violations) -> None:
    path = "spec.routing.failover"
    if failover.max_attempts > MAX_ATTEMPTS:
        notes.add(f"{path}.max_attempts", f"must be at most {MAX_ATTEMPTS}")
    if failover.minimum_seam not in SEAMS:
        notes.add(f"{path}.minimum_seam", "must be EXACT_TOKENS, TEXT_PREFILL, RESTART or NONE")


def seconds_of(path: str, message: Any, field: str, notes: Violations) -> float | None:
    """A duration field in seconds; None if it is not set, or noted as negative or no duration at all."""
    if not message.HasField(field):
        return None
    duration: Duration = getattr(message, field)
    if duration.seconds < 0 or not 0 <= duration.nanos < 1_000_000_000:
        notes.add(path, "must be a duration, and not negative")
        return None
    return duration.seconds + duration.nanos / 1e9
