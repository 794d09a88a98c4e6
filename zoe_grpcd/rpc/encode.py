"""From domain values to the messages of zoe.inference.v1."""

from urllib.parse import quote

from google.protobuf.duration_pb2 import Duration

from zoe.inference.v1 import decision_pb2, message_pb2, response_pb2, routing_pb2
from zoe.inference.v1 import inference_service_pb2 as pb
from zoe_grpcd.core.domain import (
    Attempt,
    Candidate,
    Completed,
    Decision,
    Delta,
    Estimate,
    FinishReason,
    Outcome,
    Progress,
    Reason,
    Switched,
    Timings,
    TokenLogprob,
    ToolDelta,
    Usage,
)
from zoe_grpcd.core.errors import Fault

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
_STATES = response_pb2.Progress.State


def duration(seconds: float) -> Duration:
    """Seconds as a Duration, never negative."""
    nanos = max(0, round(seconds * 1e9))
    return Duration(seconds=nanos // 1_000_000_000, nanos=nanos % 1_000_000_000)


def header(text: str) -> str:
    """A text as a metadata value, which may hold visible ASCII only: the rest is percent-encoded."""
    return text if text.isascii() and text.isprintable() else quote(text, safe=" ", errors="replace")


def backend_ref(candidate: Candidate | Attempt) -> decision_pb2.BackendRef:
    """Which deployment it is."""
    deployment = candidate.deployment
    return decision_pb2.BackendRef(
        backend=deployment.backend, model=deployment.model, kind=candidate.kind, local=candidate.local
    )


def estimate(value: Estimate) -> decision_pb2.Estimate:
    """Expected times and cost; cost is left out where nothing has a price."""
    return decision_pb2.Estimate(
        queue=duration(value.queue),
        load=duration(value.load),
        time_to_first_token=duration(value.time_to_first_token),
        total=duration(value.total),
        tokens_per_second=value.tokens_per_second,
        cost_micro_usd=round(value.cost_usd * 1e6) if value.cost_usd else None,
    )


def candidate(value: Candidate) -> decision_pb2.Candidate:
    """A deployment that was considered."""
    return decision_pb2.Candidate(
        backend=backend_ref(value),
        eligible=value.eligible,
        score=value.score,
        terms=[decision_pb2.ScoreTerm(name=t.name, value=t.value, weight=t.weight) for t in value.terms],
        reasons=[_REASONS[reason] for reason in value.reasons],
        estimate=estimate(value.estimate) if value.estimate else None,
    )


def decision(value: Decision) -> decision_pb2.RouteDecision:
    """The choice and why."""
    candidates = [candidate(c) for c in value.candidates]  # the first is the chosen one
    return decision_pb2.RouteDecision(
        decision_id=value.id,
        chosen=candidates[0].backend,
        requested_model=value.requested_model,
        intent=value.intent,
        strategy=value.strategy,
        candidates=candidates,
        reason=_REASONS[value.reason],
        explanation=value.explanation,
        estimate=candidates[0].estimate,
        decide_duration=duration(value.decide_seconds),
        config_generation=value.config_generation,
    )


def attempt(value: Attempt) -> decision_pb2.Attempt:
    """One try on one backend."""
    return decision_pb2.Attempt(
        number=value.number,
        backend=backend_ref(value),
        outcome=_OUTCOMES[value.outcome],
        error_reason=_error_reason(value),
        http_status=value.http_status,
        start_offset=duration(value.start_offset),
        duration=duration(value.duration),
        output_tokens=value.output_tokens,
    )


def _error_reason(value: Attempt) -> str:
    """The ErrorReason of a failed attempt, without its prefix."""
    if not value.error_reason:
        return ""
    if value.outcome is Outcome.LOST:
        return "BACKEND_LOST"
    return _FAULTS.get(Fault(value.error_reason), "BACKEND_FAILED")


def progress(value: Progress) -> response_pb2.Progress:
    """What is waited for."""
    return response_pb2.Progress(
        state=_STATES.Value(f"STATE_{value.state}"), expected_wait=duration(value.expected_wait)
    )


def switched(value: Switched) -> response_pb2.BackendSwitched:
    """A change of backend before anything was sent: the text is whole, as if it had never happened."""
    return response_pb2.BackendSwitched(
        previous=backend_ref(value.previous),
        current=backend_ref(value.current),
        seam=routing_pb2.SEAM_QUALITY_EXACT_TOKENS,
        failed_attempt=attempt(value.failed_attempt),
    )


def usage(value: Usage, cost_usd: float) -> response_pb2.Usage:
    """Tokens; cost is left out where nothing has a price."""
    return response_pb2.Usage(
        prompt_tokens=value.prompt_tokens,
        completion_tokens=value.completion_tokens,
        total_tokens=value.prompt_tokens + value.completion_tokens,
        cached_prompt_tokens=value.cached_prompt_tokens,
        reasoning_tokens=value.reasoning_tokens,
        cost_micro_usd=round(cost_usd * 1e6) if cost_usd else None,
        estimated=value.estimated,
    )


def timings(value: Timings) -> response_pb2.Timings:
    """Where the time went."""
    return response_pb2.Timings(
        queue=duration(value.queue),
        load=duration(value.load),
        connect=duration(value.connect),
        time_to_first_token=duration(value.time_to_first_token),
        generation=duration(value.generation),
        total=duration(value.total),
        tokens_per_second=value.tokens_per_second,
    )


def completed(value: Completed, request_id: str) -> response_pb2.Completed:
    """The end of a stream."""
    return response_pb2.Completed(
        id=request_id,
        model=value.model,
        finish_reason=_FINISH[value.finish],
        usage=usage(value.usage, value.cost_usd),
        timings=timings(value.timings),
        attempts=[attempt(a) for a in value.attempts],
    )


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


def delta(value: Delta, *, reasoning: bool) -> response_pb2.Delta:
    """A piece of an answer; without `reasoning`, what the model thought is left out but its tokens count."""
    return response_pb2.Delta(
        text=value.text,
        reasoning=value.reasoning if reasoning else "",
        refusal=value.refusal,
        token_count=value.tokens,
        logprobs=[logprob(p) for p in shown_logprobs(value, reasoning=reasoning)] or None,
    )


def shown_logprobs(value: Delta, *, reasoning: bool) -> tuple[TokenLogprob, ...]:
    """The log probabilities of a piece. They hold its tokens: those of a thought go where the thought goes."""
    return () if value.reasoning and not reasoning else value.logprobs


def tool_delta(value: ToolDelta) -> response_pb2.ToolCallDelta:
    """A piece of a tool call."""
    return response_pb2.ToolCallDelta(
        tool_index=value.index,
        id=value.id,
        name=value.name,
        arguments_json_fragment=value.arguments,
        done=value.done,
    )


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
        return pb.CompleteResponse(
            id=request_id,
            model=end.model,
            message=message_pb2.Message(role=message_pb2.ROLE_ASSISTANT, parts=map(_part, self._parts)),
            finish_reason=_FINISH[end.finish],
            usage=usage(end.usage, end.cost_usd),
            timings=timings(end.timings),
            decision=decision(chosen),
            attempts=[attempt(a) for a in end.attempts],
            logprobs=[logprob(p) for p in self._logprobs],
        )

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


def _part(value: tuple[str, list[str]] | ToolDelta) -> message_pb2.ContentPart:
    if isinstance(value, ToolDelta):
        call = message_pb2.ToolCall(id=value.id, name=value.name, arguments_json=value.arguments)
        return message_pb2.ContentPart(tool_call=call)
    kind, text = value[0], "".join(value[1])
    if kind == "reasoning":
        return message_pb2.ContentPart(reasoning=message_pb2.ReasoningPart(text=text))
    return message_pb2.ContentPart(text=text) if kind == "text" else message_pb2.ContentPart(refusal=text)
