"""From domain values to the messages of zoe.inference.v1.

A message is filled where it stands: making its parts first and having them copied in takes twice as long. What is 0 or
empty is not sent anyway, so that where it usually is it is left alone.
"""

from typing import Any
from urllib.parse import quote

from google.protobuf.duration_pb2 import Duration

from zoe.inference.v1 import decision_pb2, message_pb2, response_pb2, routing_pb2
from zoe.inference.v1 import inference_service_pb2 as pb
from zoe_grpcd.core.answer import Delta, FinishReason, Seam, TokenLogprob, ToolDelta, Usage
from zoe_grpcd.core.decision import Candidate, Decision, Estimate, Reason
from zoe_grpcd.core.errors import Fault
from zoe_grpcd.core.outcome import Attempt, Completed, Moved, Outcome, Switched, Timings
from zoe_grpcd.core.progress import Progress

_REASONS = {reason: decision_pb2.Reason.Value(f"REASON_{reason}") for reason in Reason}
_FINISH = {finish: response_pb2.FinishReason.Value(f"FINISH_REASON_{finish}") for finish in FinishReason}
_OUTCOMES = {outcome: decision_pb2.Attempt.Outcome.Value(f"OUTCOME_{outcome}") for outcome in Outcome}
# What a fault of an attempt is in the contract's words; all others are BACKEND_FAILED.
_FAULTS = {
    Fault.TIMEOUT: "BACKEND_TIMEOUT",
    Fault.RATE_LIMITED: "RATE_LIMITED",
    Fault.OVERLOADED: "QUEUE_FULL",
    Fault.LOADING: "MODEL_LOAD_FAILED",
    Fault.LOAD_FAILED: "MODEL_LOAD_FAILED",
    Fault.MODEL_MISSING: "MODEL_NOT_FOUND",
    Fault.UNAUTHORIZED: "BACKEND_REJECTED",
    Fault.CONTEXT_TOO_LONG: "CONTEXT_TOO_LONG",
    Fault.REJECTED: "BACKEND_REJECTED",
}
_SEAMS = {seam: routing_pb2.SeamQuality.Value(f"SEAM_QUALITY_{seam.name}") for seam in Seam}
_STATES = response_pb2.Progress.State


def put_duration(into: Any, field: str, seconds: float) -> None:
    """Seconds into a field that is a Duration; 0 and less leave it unset, and even looking at it takes as long as this."""
    if seconds > 0:
        duration: Duration = getattr(into, field)
        if whole := int(seconds):
            duration.seconds = whole
        duration.nanos = int((seconds - whole) * 1e9)


def header(text: str) -> str:
    """A text as a metadata value, which may hold visible ASCII only: the rest is percent-encoded."""
    return text if text.isascii() and text.isprintable() else quote(text, safe=" ", errors="replace")


def put_backend(into: decision_pb2.BackendRef, value: Candidate | Attempt) -> None:
    """Which deployment it is."""
    deployment = value.deployment
    into.backend = deployment.backend
    into.model = deployment.model
    into.kind = value.kind
    into.local = value.local


def put_estimate(into: decision_pb2.Estimate, value: Estimate) -> None:
    """Expected times and cost; cost is left out where nothing has a price."""
    put_duration(into, "queue", value.queue)
    put_duration(into, "load", value.load)
    put_duration(into, "time_to_first_token", value.time_to_first_token)
    put_duration(into, "total", value.total)
    into.tokens_per_second = value.tokens_per_second
    if value.cost_usd:
        into.cost_micro_usd = round(value.cost_usd * 1e6)


def put_candidate(into: decision_pb2.Candidate, value: Candidate) -> None:
    """A deployment that was considered."""
    put_backend(into.backend, value)
    into.eligible = value.eligible
    into.score = value.score
    terms = into.terms
    for name, part, weight in value.terms:
        term = terms.add()
        term.name = name
        term.value = part
        term.weight = weight
    if value.reasons:
        into.reasons.extend([_REASONS[reason] for reason in value.reasons])
    if value.estimate is not None:
        put_estimate(into.estimate, value.estimate)


def put_decision(into: decision_pb2.RouteDecision, value: Decision) -> None:
    """The choice and why."""
    for considered in value.candidates:
        put_candidate(into.candidates.add(), considered)
    chosen = into.candidates[0]
    into.decision_id = value.id
    into.chosen.CopyFrom(chosen.backend)
    into.requested_model = value.requested_model
    if value.intent:
        into.intent = value.intent
    into.strategy = value.strategy
    into.reason = _REASONS[value.reason]
    into.explanation = value.explanation
    into.estimate.CopyFrom(chosen.estimate)
    put_duration(into, "decide_duration", value.decide_seconds)
    into.config_generation = value.config_generation


def put_attempt(into: decision_pb2.Attempt, value: Attempt) -> None:
    """One try on one backend."""
    into.number = value.number
    put_backend(into.backend, value)
    into.outcome = _OUTCOMES[value.outcome]
    if value.error_reason:
        into.error_reason = _error_reason(value)
        into.http_status = value.http_status
    put_duration(into, "start_offset", value.start_offset)
    put_duration(into, "duration", value.duration)
    into.output_tokens = value.output_tokens


def _error_reason(value: Attempt) -> str:
    """The ErrorReason of a failed attempt, without its prefix."""
    if value.outcome is Outcome.LOST:
        return "BACKEND_LOST"
    return _FAULTS.get(Fault(value.error_reason), "BACKEND_FAILED")


def put_progress(into: response_pb2.Progress, value: Progress) -> None:
    """What is waited for."""
    into.state = _STATES.Value(f"STATE_{value.state}")
    into.queue_position = value.ahead
    into.fraction = value.fraction
    if value.expected_wait is not None:
        put_duration(into, "expected_wait", value.expected_wait)


def put_switched(into: response_pb2.BackendSwitched, value: Switched) -> None:
    """A change of backend; before anything was sent it is as if it had never happened, which is the best of seams."""
    put_backend(into.previous, value.previous)
    put_backend(into.current, value.current)
    into.seam = _SEAMS[value.seam]
    into.tokens_kept = value.tokens_kept
    put_attempt(into.failed_attempt, value.failed_attempt)


def put_moved(into: response_pb2.BackendSwitched, value: Moved) -> None:
    """A change of backend before there was any attempt."""
    put_backend(into.previous, value.previous)
    put_backend(into.current, value.current)
    into.seam = _SEAMS[Seam.EXACT_TOKENS]


def put_completed(
    into: pb.CompleteResponse | response_pb2.Completed, value: Completed, request_id: str
) -> None:
    """What the end of a stream and a whole answer have in common."""
    into.id = request_id
    into.model = value.model
    into.finish_reason = _FINISH[value.finish]
    put_usage(into.usage, value.usage, value.cost_usd)
    put_timings(into.timings, value.timings)
    for made in value.attempts:
        put_attempt(into.attempts.add(), made)


def finish_reason(value: FinishReason) -> "response_pb2.FinishReason.ValueType":
    """Why an answer ended."""
    return _FINISH[value]


def put_usage(into: response_pb2.Usage, value: Usage, cost_usd: float) -> None:
    """Tokens; cost is left out where nothing has a price."""
    into.prompt_tokens = value.prompt_tokens
    into.completion_tokens = value.completion_tokens
    into.total_tokens = value.prompt_tokens + value.completion_tokens
    if value.cached_prompt_tokens:
        into.cached_prompt_tokens = value.cached_prompt_tokens
    if value.reasoning_tokens:
        into.reasoning_tokens = value.reasoning_tokens
    if value.estimated:
        into.estimated = True
    if cost_usd:
        into.cost_micro_usd = round(cost_usd * 1e6)


def put_timings(into: response_pb2.Timings, value: Timings) -> None:
    """Where the time went."""
    put_duration(into, "queue", value.queue)
    put_duration(into, "load", value.load)
    put_duration(into, "connect", value.connect)
    put_duration(into, "time_to_first_token", value.time_to_first_token)
    put_duration(into, "generation", value.generation)
    put_duration(into, "total", value.total)
    into.tokens_per_second = value.tokens_per_second


def logprob(value: TokenLogprob) -> response_pb2.TokenLogprob:
    """One token with its alternatives."""
    return response_pb2.TokenLogprob(
        token=value.token,
        logprob=value.logprob,
        bytes=value.raw,
        top_logprobs=[
            response_pb2.TopLogprob(token=t.token, logprob=t.logprob, bytes=t.raw) for t in value.top
        ],
    )


def put_delta(into: response_pb2.Delta, value: Delta, *, reasoning: bool) -> bool:
    """A piece of an answer; False if there is nothing in it to show.

    Without `reasoning`, what the model thought is left out but its tokens count.
    """
    into.text = value.text
    if reasoning:
        into.reasoning = value.reasoning
    into.refusal = value.refusal
    into.token_count = value.tokens
    shown = shown_logprobs(value, reasoning=reasoning)
    if shown:
        into.logprobs.extend([logprob(token) for token in shown])
    return bool(value.text or value.refusal or shown or (reasoning and value.reasoning))


def shown_logprobs(value: Delta, *, reasoning: bool) -> tuple[TokenLogprob, ...]:
    """The log probabilities of a piece. They hold its tokens: those of a thought go where the thought goes."""
    return () if value.reasoning and not reasoning else value.logprobs


def put_tool_delta(into: response_pb2.ToolCallDelta, value: ToolDelta) -> None:
    """A piece of a tool call."""
    into.tool_index = value.index
    into.id = value.id
    into.name = value.name
    into.arguments_json_fragment = value.arguments
    into.done = value.done


class Answer:
    """An answer put together from its events, for a caller that wants it whole: each part where it began."""

    __slots__ = ("_logprobs", "_parts", "_reasoning", "_tools")

    def __init__(self, *, reasoning: bool) -> None:
        self._reasoning = reasoning
        self._parts: list[tuple[str, list[str]] | ToolDelta] = []
        self._logprobs: list[TokenLogprob] = []
        self._tools: dict[int, ToolDelta] = {}

    def take(self, event: Delta | ToolDelta) -> None:
        """Adds a piece."""
        if isinstance(event, ToolDelta):
            self._call(event)
            return
        if self._reasoning:
            self._say("reasoning", event.reasoning)
        self._say("text", event.text)
        self._say("refusal", event.refusal)
        self._logprobs += shown_logprobs(event, reasoning=self._reasoning)

    def response(self, chosen: Decision, end: Completed, request_id: str) -> pb.CompleteResponse:
        """The whole answer."""
        response = pb.CompleteResponse()
        put_completed(response, end, request_id)
        put_decision(response.decision, chosen)
        response.message.role = message_pb2.ROLE_ASSISTANT
        for part in self._parts:
            _put_part(response.message.parts.add(), part)
        if self._logprobs:
            response.logprobs.extend(map(logprob, self._logprobs))
        return response

    def _say(self, kind: str, piece: str) -> None:
        if not piece:
            return
        last = self._parts[-1] if self._parts else None
        if isinstance(last, tuple) and last[0] == kind:
            last[1].append(piece)
        else:
            self._parts.append((kind, [piece]))

    def _call(self, piece: ToolDelta) -> None:
        if piece.index not in self._tools:
            self._tools[piece.index] = ToolDelta(piece.index)
            self._parts.append(self._tools[piece.index])
        call = self._tools[piece.index]
        call.id = call.id or piece.id
        call.name = call.name or piece.name
        call.arguments += piece.arguments


def _put_part(into: message_pb2.ContentPart, value: tuple[str, list[str]] | ToolDelta) -> None:
    if isinstance(value, ToolDelta):
        call = into.tool_call
        call.id, call.name, call.arguments_json = value.id, value.name, value.arguments
        return
    kind, text = value[0], "".join(value[1])
    if kind == "text":
        into.text = text
    elif kind == "reasoning":
        into.reasoning.text = text
    else:
        into.refusal = text
