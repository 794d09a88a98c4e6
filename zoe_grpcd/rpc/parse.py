"""From an InferenceSpec to an Ask, or to every field violation at once."""

import re
from typing import Any

from google.protobuf.duration_pb2 import Duration

from zoe.inference.v1 import routing_pb2, spec_pb2
from zoe_grpcd.core.domain import Ask, Generation, Json, Locality, Target
from zoe_grpcd.core.options import forbidden
from zoe_grpcd.rpc.fields import Violations, plain
from zoe_grpcd.rpc.parse_messages import Conversation, tool_choice_of, tools_of

# field of SamplingParams -> lowest and highest value
RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "frequency_penalty": (-2.0, 2.0),
    "presence_penalty": (-2.0, 2.0),
    "repetition_penalty": (0.01, 10.0),
    "top_k": (0, 2**31 - 1),
    "seed": (-(2**63), 2**63 - 1),
}
MAX_STOPS = 16
MAX_TOP_LOGPROBS = 20
REQUEST_ID = re.compile(r"[\x21-\x7e]{0,128}")
LOCALITIES = {
    routing_pb2.LOCALITY_UNSPECIFIED: Locality.PREFER_LOCAL,
    routing_pb2.LOCALITY_LOCAL_ONLY: Locality.LOCAL_ONLY,
    routing_pb2.LOCALITY_PREFER_LOCAL: Locality.PREFER_LOCAL,
    routing_pb2.LOCALITY_ANY: Locality.ANY,
}
PRIORITIES = frozenset(routing_pb2.Priority.values())
LEVELS = {number: name.removeprefix("LEVEL_") for name, number in routing_pb2.LatencyTarget.Level.items()}
LEVELS[routing_pb2.LatencyTarget.LEVEL_UNSPECIFIED] = ""
EFFORTS = {
    spec_pb2.ReasoningConfig.EFFORT_NONE: "none",
    spec_pb2.ReasoningConfig.EFFORT_LOW: "low",
    spec_pb2.ReasoningConfig.EFFORT_MEDIUM: "medium",
    spec_pb2.ReasoningConfig.EFFORT_HIGH: "high",
}
ANYTHING = Target()


def ask_of(spec: spec_pb2.InferenceSpec, request_id: str = "", *, allow_http_images: bool = False) -> Ask:
    """The checked request. Raises InvalidRequest with all violations."""
    notes = Violations()
    conversation = Conversation(notes, allow_http_images=allow_http_images)
    conversation.read(spec.messages)
    features = conversation.features
    tools = tools_of(spec.tools, conversation, notes)
    tool_choice, feature = (
        tool_choice_of(spec.tool_choice, tools, notes) if spec.HasField("tool_choice") else (None, "")
    )
    features |= {feature} - {""} | ({"tools"} if tools else set())
    options = _options(spec, features, notes)
    generation = Generation(
        _with_context(conversation, spec.context),
        tools,
        tool_choice if tools else None,
        _response_format(spec.response_format, options, features, notes),
        options,
        _backend_options(spec, notes),
    )
    if not REQUEST_ID.fullmatch(request_id):
        notes.add("request_id", "must be at most 128 visible ASCII characters")
    ask = Ask(
        generation,
        _target(spec.target, notes) if spec.HasField("target") else ANYTHING,
        request_id,
        conversation.last_user_text,
        conversation.prompt_bytes,
        conversation.images,
        bool(spec.context),
        frozenset(features),
        _needs(conversation, tools, tool_choice),
        **(_preferences(spec.routing, notes) if spec.HasField("routing") else {}),
        include_reasoning=spec.reasoning.include_reasoning,
        metadata=dict(spec.metadata),
    )
    notes.refuse()
    return ask


def _needs(conversation: Conversation, tools: tuple[Json, ...], tool_choice: Any) -> frozenset[str]:
    vision = {"vision"} if conversation.images else set()
    return frozenset(vision | ({"tools"} if tools and tool_choice != "none" else set()))


def _with_context(conversation: Conversation, context: str) -> tuple[Json, ...]:
    """The messages, with the document in the system message: at the end of the first one, or in one of its own."""
    messages = conversation.messages
    if not context:
        return tuple(messages)
    text = conversation.count(f"Answer from this context:\n\n{context}")
    first = messages[0] if messages else {}
    if first.get("role") == "system" and isinstance(first.get("content"), str):
        return ({**first, "content": f"{first['content']}\n\n{text}"}, *messages[1:])
    return ({"role": "system", "content": text}, *messages)


def _options(spec: spec_pb2.InferenceSpec, features: set[str], notes: Violations) -> dict[str, Any]:
    """What the caller set, by the contract's names; each is noted as a feature."""
    options = _sampling(spec.sampling, notes) if spec.HasField("sampling") else {}
    features |= {f"sampling.{name}" for name in options}
    limits = _limits(spec, notes)
    features |= {"reasoning.effort" if name == "reasoning_effort" else name for name in limits}
    return options | limits


def _sampling(sampling: spec_pb2.SamplingParams, notes: Violations) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for field, value in sampling.ListFields():
        path = f"spec.sampling.{field.name}"
        if field.name == "logit_bias":
            for token, bias in value.items():
                notes.between(f"{path}[{token}]", bias, -100.0, 100.0)
            options["logit_bias"] = dict(value)
            continue
        low, high = RANGES[field.name]
        notes.between(path, value, low, high)
        # a float32 of the wire: 0.7 is 0.699999988 otherwise
        options[field.name] = float(f"{value:.7g}") if isinstance(value, float) else value
    return options


def _limits(spec: spec_pb2.InferenceSpec, notes: Violations) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if spec.HasField("max_output_tokens"):
        if not spec.max_output_tokens:
            notes.add("spec.max_output_tokens", "must be at least 1, or left out")
        options["max_output_tokens"] = spec.max_output_tokens
    if spec.stop:
        if len(spec.stop) > MAX_STOPS or not all(spec.stop):
            notes.add("spec.stop", f"must be at most {MAX_STOPS} texts, none of them empty")
        options["stop"] = list(spec.stop)
    if spec.HasField("top_logprobs"):
        notes.between("spec.top_logprobs", spec.top_logprobs, 0, MAX_TOP_LOGPROBS)
        options["top_logprobs"] = spec.top_logprobs
    if spec.HasField("parallel_tool_calls"):
        options["parallel_tool_calls"] = spec.parallel_tool_calls
    if spec.reasoning.effort:
        if spec.reasoning.effort not in EFFORTS:
            notes.add("spec.reasoning.effort", "must be NONE, LOW, MEDIUM or HIGH")
        options["reasoning_effort"] = EFFORTS.get(spec.reasoning.effort)
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
        options["grammar"] = wanted.grammar
        return None
    asked = wanted.json_schema
    schema = notes.schema("spec.response_format.json_schema.schema_json", asked.schema_json)
    shaped = {"name": asked.name or "answer", "schema": schema, "strict": asked.strict}
    return {"type": "json_schema", "json_schema": shaped}


def _backend_options(spec: spec_pb2.InferenceSpec, notes: Violations) -> dict[str, Any]:
    if not spec.HasField("backend_options"):
        return {}
    options = {key: plain(value) for key, value in spec.backend_options.fields.items()}
    for key in forbidden(options):
        notes.add(f"spec.backend_options.{key}", "is not an option of a backend; the daemon decides it")
    return options


def _target(target: routing_pb2.Target, notes: Violations) -> Target:
    hint = target.capability
    if target.WhichOneof("selector") == "model" and not target.model:
        notes.add("spec.target.model", "must not be empty; leave the target out for auto")
    if target.auto.profile:
        notes.add("spec.target.auto.profile", "must be empty: no profiles are defined in this version")
    if not all(target.fallback_models):
        notes.add("spec.target.fallback_models", "must hold no empty name")
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
    if routing.priority not in PRIORITIES:
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
    return {
        "locality": LOCALITIES.get(routing.locality, Locality.PREFER_LOCAL),
        "strategy": routing.strategy,
        "latency_level": level or "",
        "cost_weight": routing.cost.weight or None,
        "max_cost_usd": limit,
        "max_attempts": routing.failover.max_attempts or None,
        "max_queue_time": seconds_of("spec.routing.max_queue_time", routing, "max_queue_time", notes),
    }


def seconds_of(path: str, message: Any, field: str, notes: Violations) -> float | None:
    """A duration field in seconds; None if it is not set; negative ones are noted."""
    if not message.HasField(field):
        return None
    duration: Duration = getattr(message, field)
    seconds = duration.seconds + duration.nanos / 1e9
    if seconds < 0:
        notes.add(path, "must not be negative")
    return seconds
