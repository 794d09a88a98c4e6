"""How an answer is to be made: sampling, limits, its form, and what only the backend knows.

Rule: each option that is set is noted as a feature, which some kinds refuse.
"""

import re
from typing import Any

from zoe.inference.v1 import spec_pb2
from zoe_grpcd.core.generation import Json
from zoe_grpcd.core.options import LENGTHS, forbidden, length_in, repeated
from zoe_grpcd.rpc import endless
from zoe_grpcd.rpc.fields import Violations, plain

# Fields of an InferenceSpec that say how an answer is to be made.
OPTIONS = frozenset(
    {"sampling", "max_output_tokens", "stop", "top_logprobs", "parallel_tool_calls", "reasoning"}
)
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
# Options that are no fields of the specification by the same name.
ELSEWHERE = {"reasoning_effort": "reasoning.effort", "grammar": "response_format.grammar"}
SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{0,64}")
EFFORTS = {
    spec_pb2.ReasoningConfig.EFFORT_NONE: "none",
    spec_pb2.ReasoningConfig.EFFORT_LOW: "low",
    spec_pb2.ReasoningConfig.EFFORT_MEDIUM: "medium",
    spec_pb2.ReasoningConfig.EFFORT_HIGH: "high",
}


def options_of(
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


def response_format_of(
    wanted: spec_pb2.ResponseFormat, options: dict[str, Any], features: set[str], notes: Violations
) -> Json | None:
    """The form of an answer in OpenAI's shape; None: free text, or a grammar, which goes to the options."""
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


def backend_options_of(
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
