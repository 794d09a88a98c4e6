"""Answers, whole or put together from a stream."""

from dataclasses import dataclass, field

import grpc

from zoe.inference.v1.decision_pb2 import RouteDecision
from zoe.inference.v1.inference_service_pb2 import CompleteResponse, StreamCompleteResponse
from zoe.inference.v1.message_pb2 import ROLE_ASSISTANT, ContentPart, Message, ReasoningPart, ToolCall
from zoe.inference.v1.response_pb2 import (
    BackendSwitched,
    Completed,
    Delta,
    FinishReason,
    Progress,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from zoe.inference.v1.routing_pb2 import SEAM_QUALITY_RESTART
from zoe_client.errors import Failure, IncompleteStream

Event = RouteDecision | Progress | Delta | ToolCallDelta | BackendSwitched | Completed
"""What a stream yields."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. What has no property here is in `response`."""

    response: CompleteResponse

    @property
    def text(self) -> str:
        """The answer's text; empty if the model only calls tools."""
        return "".join(part.text for part in self.message.parts)

    @property
    def reasoning(self) -> str:
        """What the model thought, if it was asked to show it."""
        return "".join(part.reasoning.text for part in self.message.parts)

    @property
    def refusal(self) -> str:
        """The model's words for declining."""
        return "".join(part.refusal for part in self.message.parts)

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The calls that the model asks for."""
        return [part.tool_call for part in self.message.parts if part.HasField("tool_call")]

    @property
    def message(self) -> Message:
        """The answer as a message, to be appended to the conversation."""
        return self.response.message

    @property
    def model(self) -> str:
        """The model that answered."""
        return self.response.model

    @property
    def finish_reason(self) -> str:
        """Why the answer ended, for example `"stop"`, `"length"`, `"tool_calls"`."""
        return FinishReason.Name(self.response.finish_reason).removeprefix("FINISH_REASON_").lower()

    @property
    def usage(self) -> Usage:
        """The tokens that were used."""
        return self.response.usage

    @property
    def decision(self) -> RouteDecision:
        """Where the request went and why."""
        return self.response.decision


class Transcript:
    """Puts the events of a stream together."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._decision = RouteDecision()
        self._completed: Completed | None = None
        self._clear()

    def _clear(self) -> None:
        self._pieces: list[_Piece] = []
        self._calls: dict[int, _Piece] = {}
        self._logprobs: list[TokenLogprob] = []

    def add(self, response: StreamCompleteResponse) -> Event | None:
        """Takes in an event and returns it; None if it is of a kind that this client does not know."""
        kind = response.WhichOneof("event")
        if kind is None:
            return None
        event: Event = getattr(response, kind)
        match event:
            case RouteDecision():
                self._decision = event
            case Delta():
                self._add_delta(event)
            case ToolCallDelta():
                self._add_tool_call(event)
            case BackendSwitched(seam=seam) if seam == SEAM_QUALITY_RESTART:
                self._clear()
            case Completed():
                self._completed = event
        return event

    def answer(self) -> Answer:
        """Returns the whole answer.

        Raises:
            IncompleteStream: `completed` has not come.
        """
        end = self._completed
        if end is None:
            text = "the stream ended without `completed`"
            raise IncompleteStream(Failure(grpc.StatusCode.UNKNOWN, text, request_id=self._request_id))
        response = CompleteResponse(
            id=end.id,
            model=end.model,
            message=Message(role=ROLE_ASSISTANT, parts=[piece.part() for piece in self._pieces]),
            finish_reason=end.finish_reason,
            decision=self._decision,
            attempts=end.attempts,
            from_cache=end.from_cache,
            logprobs=self._logprobs,
            usage=end.usage if end.HasField("usage") else None,
            timings=end.timings if end.HasField("timings") else None,
        )
        return Answer(response)

    def _add_delta(self, delta: Delta) -> None:
        for kind, text in (("reasoning", delta.reasoning), ("text", delta.text), ("refusal", delta.refusal)):
            if not text:
                continue
            if not self._pieces or self._pieces[-1].kind != kind:
                self._pieces.append(_Piece(kind))
            self._pieces[-1].fragments.append(text)
        self._logprobs.extend(delta.logprobs)

    def _add_tool_call(self, delta: ToolCallDelta) -> None:
        if delta.tool_index not in self._calls:
            piece = _Piece("tool_call", call_id=delta.id, name=delta.name)
            self._pieces.append(piece)
            self._calls[delta.tool_index] = piece
        self._calls[delta.tool_index].fragments.append(delta.arguments_json_fragment)


@dataclass(slots=True)
class _Piece:
    """A part of the answer whose text is still coming."""

    kind: str
    fragments: list[str] = field(default_factory=list)
    call_id: str = ""
    name: str = ""

    def part(self) -> ContentPart:
        text = "".join(self.fragments)
        match self.kind:
            case "reasoning":
                return ContentPart(reasoning=ReasoningPart(text=text))
            case "refusal":
                return ContentPart(refusal=text)
            case "tool_call":
                return ContentPart(tool_call=ToolCall(id=self.call_id, name=self.name, arguments_json=text))
        return ContentPart(text=text)
