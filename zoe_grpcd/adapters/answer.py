"""Pieces of an answer to events: adjacent ones merged, tool calls told apart, no half characters.

The one rule: a piece goes into the last event if it is of the same channel, else it begins another.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from zoe_grpcd.adapters.thinking import Thinking
from zoe_grpcd.core.answer import Delta, Event, Finish, FinishReason, Measured, TokenLogprob, ToolDelta, Usage

REASONS: Final = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}


@dataclass(slots=True)
class _ToolCall:
    """One call that is being made. `key` is what the backend calls it: its position and its id."""

    index: int
    upstream_id: str
    begun: bool = False  # some of its arguments were passed on


class Answer:
    """Collects events between two reads. Knows nothing of bytes or JSON."""

    __slots__ = ("_calls", "_events", "_halves", "_open", "_thinking", "_top")

    def __init__(self, top_logprobs: int | None = None) -> None:
        self._events: list[Event] = []
        self._halves: dict[str, str] = {}  # channel -> first half of a surrogate pair
        self._thinking = Thinking()
        self._calls: list[_ToolCall] = []
        self._open: dict[int, _ToolCall] = {}  # the backend's index -> the call made there now
        self._top = top_logprobs

    def say(self, text: str, tokens: int = 1) -> None:
        """A chunk of text, counted as one token where nobody counts them; an empty one is none."""
        if not text:
            return
        if not self._thinking.over:
            reasoning, text = self._thinking.split(text)
            if reasoning:
                self._put("reasoning", reasoning, tokens)
                tokens = 0
        self._put("text", text, tokens)

    def think(self, reasoning: str, tokens: int = 1) -> None:
        """A chunk of reasoning that the backend told apart itself."""
        self._put("reasoning", reasoning, tokens)

    def chunk(self, choices: Iterable[Any], tokens: int = 1) -> None:
        """The choices of a chunk as LiteLLM parsed it: text, reasoning, refusal, tool calls, log probabilities."""
        for choice in choices:
            delta = choice.delta
            if reasoning := getattr(delta, "reasoning_content", None):
                self.think(_text(reasoning), 1 if delta.content else tokens)
            if delta.content:
                self.say(_text(delta.content), tokens)
            if refusal := delta.get("refusal"):
                self._put("refusal", _text(refusal), tokens)
            for piece in delta.tool_calls or ():
                self._tool(piece)
            if self._top is not None and (probabilities := getattr(choice, "logprobs", None)):
                self._logprobs(getattr(probabilities, "content", None) or ())
            return

    def take(self) -> list[Event]:
        """What came since the last time, whole characters only."""
        events, self._events = self._events, []
        for event in events:
            if isinstance(event, Delta):
                if event.text:
                    event.text = self._whole("text", event.text)
                if event.reasoning:
                    event.reasoning = self._whole("reasoning", event.reasoning)
                if event.refusal:
                    event.refusal = self._whole("refusal", event.refusal)
            elif isinstance(event, ToolDelta) and event.arguments:
                event.arguments = self._whole(f"tool {event.index}", event.arguments)
        return events

    def end(self, reason: str, usage: Usage | None, measured: Measured, model: str) -> list[Event]:
        """All that is left, tool calls closed, and the one `Finish`."""
        if not self._thinking.over:
            reasoning, answer = self._thinking.rest()
            self._put("reasoning", reasoning, 1)
            self._put("text", answer, 1)
        events = self.take()
        for channel, half in self._halves.items():
            if not channel.startswith("tool"):
                events.append(_delta(channel, paired(half), 0))
        for made in self._calls:
            events.append(ToolDelta(made.index, arguments="" if made.begun else "{}", done=True))
        finish = REASONS.get(str(reason), FinishReason.OTHER)
        if self._calls and finish is FinishReason.STOP:
            finish = FinishReason.TOOL_CALLS  # Ollama and others say "stop"
        if not self._calls and finish is FinishReason.TOOL_CALLS:
            finish = (
                FinishReason.STOP
            )  # LiteLLM 1.106.2, of a call that it made of a schema and has taken out again
        return [*events, Finish(finish, usage, measured, model)]

    # ------------------------------------------------------------------------------------------------------ pieces

    def _put(self, channel: str, piece: str, tokens: int) -> None:
        if not piece:
            return
        last = self._events[-1] if self._events else None
        if isinstance(last, Delta) and (held := getattr(last, channel)):
            setattr(last, channel, held + piece)
            last.tokens += tokens
        else:
            self._events.append(_delta(channel, piece, tokens))

    def _tool(self, piece: Any) -> None:
        function = piece.function
        name, arguments = function.name or "", function.arguments or ""
        index, upstream_id = piece.index or 0, piece.id or ""
        made = self._open.get(index)
        # a second call in the same place: another id, or, where there are no ids, another name
        if made is None or (upstream_id and upstream_id != made.upstream_id) or (name and not upstream_id):
            made = self._begin(index, upstream_id, name)
        if not arguments:
            return
        made.begun = True
        last = self._events[-1] if self._events else None
        if isinstance(last, ToolDelta) and last.index == made.index:
            last.arguments += arguments
        else:
            self._events.append(ToolDelta(made.index, arguments=arguments))

    def _begin(self, index: int, upstream_id: str, name: str) -> _ToolCall:
        made = _ToolCall(len(self._calls), upstream_id)
        taken = {call.upstream_id for call in self._calls}
        fresh = upstream_id if upstream_id and upstream_id not in taken else f"call_{uuid4().hex[:24]}"
        self._calls.append(made)
        self._open[index] = made
        self._events.append(ToolDelta(made.index, id=paired(fresh), name=paired(name)))
        return made

    def _logprobs(self, entries: Iterable[Any]) -> None:
        tokens = tuple(self._logprob(entry) for entry in entries)
        if not tokens:
            return
        if not self._events or not isinstance(self._events[-1], Delta):
            self._events.append(Delta())
        last = self._events[-1]
        assert isinstance(last, Delta)
        last.logprobs += tokens

    def _logprob(self, entry: Any) -> TokenLogprob:
        top = tuple(_bare(other) for other in (entry.top_logprobs or ())[: self._top])
        bare = _bare(entry)
        return TokenLogprob(bare.token, bare.logprob, bare.raw, top)

    def _whole(self, channel: str, piece: str) -> str:
        """The piece without a trailing half of a surrogate pair, which waits for its other half."""
        if not self._halves and piece.isascii():
            return piece
        piece = self._halves.pop(channel, "") + piece
        if "\ud800" <= piece[-1] <= "\udbff":
            self._halves[channel], piece = piece[-1], piece[:-1]
        return paired(piece)


def _delta(channel: str, piece: str, tokens: int) -> Delta:
    delta = Delta(tokens=tokens)
    setattr(delta, channel, piece)
    return delta


def _text(piece: Any) -> str:
    """LiteLLM passes on whatever a server has put there."""
    if not isinstance(piece, str):
        raise TypeError(f"no text: {piece!r:.100}")
    return piece


def _bare(entry: Any) -> TokenLogprob:
    return TokenLogprob(paired(entry.token), float(entry.logprob), bytes(entry.bytes or ()))


def paired(text: str) -> str:
    """The text with surrogate pairs joined, and U+FFFD for a half without its other half."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
