"""Going on with an answer whose backend was lost: who may, at which seam, and what is asked of them.

The one rule: what the caller has is never changed. It is gone on from, or the caller is told to drop it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from zoe_grpcd.core.answer import Seam, Usage
from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.backend import Backend, Prefill
from zoe_grpcd.core.estimate import Size
from zoe_grpcd.core.generation import Call, Continuation, Generation, Json
from zoe_grpcd.core.key import Key
from zoe_grpcd.core.views import DeploymentView, Snapshot

MOST_BYTES_PER_TOKEN: Final = 6.0  # of what models write, in the mean of an answer


@dataclass(frozen=True, slots=True)
class Draft:
    """The answer so far, as the caller has it. `fixed`: nobody can go on from it, since a tool call is in it, say."""

    text: str = ""
    reasoning: str = ""
    tokens: int = 0  # of the text
    thought: int = 0  # tokens of the reasoning
    fixed: bool = False

    @property
    def begun(self) -> bool:
        """The caller has something."""
        return bool(self.text or self.reasoning or self.fixed)

    def grown(self, more: "Draft") -> "Draft":
        """With what the next attempt has added."""
        return Draft(
            self.text + more.text,
            self.reasoning + more.reasoning,
            self.tokens + more.tokens,
            self.thought + more.thought,
            self.fixed or more.fixed,
        )


NOTHING_YET = Draft()


@dataclass(frozen=True, slots=True)
class Loss:
    """Who was lost in the middle of an answer, as it was then."""

    view: DeploymentView
    backend: Backend


class Way(NamedTuple):
    """One way to go on: the deployments that offer this seam; `only` None: all."""

    seam: Seam
    only: frozenset[Key] | None


def is_structured(generation: Generation) -> bool:
    """A part of the answer is of no use: half an object does not parse, and a grammar begins anew on another server."""
    return generation.response_format is not None or "grammar" in generation.options


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An answer that has to be gone on with."""

    ask: Ask
    draft: Draft
    loss: Loss


def ways(answer: Unfinished, snapshot: Snapshot, worst: Seam) -> list[Way]:
    """The ways to go on that are no worse than `worst`, the best first; of two seams of a kind that on the same model."""
    if worst is Seam.NONE:
        return []
    found: dict[tuple[Seam, bool], set[Key]] = {}
    for view in _all(snapshot):
        backend = snapshot.backends[view.deployment.backend].backend
        other = view.deployment.model != answer.loss.view.deployment.model
        seam = seam_to(answer, view, backend)
        if seam <= min(worst, Seam.TEXT_PREFILL):
            found.setdefault((seam, other), set()).add((view.deployment.backend, view.deployment.model))
    listed = [Way(seam, frozenset(keys)) for (seam, _), keys in sorted(found.items())]
    return [*listed, Way(Seam.RESTART, None)] if worst == Seam.RESTART else listed


def _all(snapshot: Snapshot) -> Iterator[DeploymentView]:
    for views in snapshot.by_model.values():
        yield from views


def seam_to(answer: Unfinished, view: DeploymentView, backend: Backend) -> Seam:
    """The best seam that a deployment offers, as far as is known; RESTART: none but from the beginning.

    A thought that was cut is not gone on from: the next one thinks anew, and its answer is whole all the same.
    """
    draft, asked = answer.draft, answer.ask.generation
    if draft.fixed:
        return Seam.RESTART
    if not draft.text:
        return Seam.TEXT_PREFILL
    if is_structured(asked) or not _can_be_ended(asked.messages):
        return Seam.RESTART
    if _is_exact(answer, view, backend):
        return Seam.EXACT_TOKENS
    same = view.deployment.model == answer.loss.view.deployment.model
    if view.prefill is Prefill.CLOSES or not (same or answer.ask.allow_different_model):
        return Seam.RESTART
    return Seam.TEXT_PREFILL


def _is_exact(answer: Unfinished, view: DeploymentView, backend: Backend) -> bool:
    """The same file behind the same kind of server, asked for nothing but plain text with the same settings."""
    ask, loss = answer.ask, answer.loss
    mine, its, asked = view.deployment, loss.view.deployment, ask.generation
    return (
        bool(view.fingerprint)
        and view.fingerprint == loss.view.fingerprint
        and backend.takes_tokens
        and loss.backend.takes_tokens
        and (mine.options, mine.backend_options) == (its.options, its.backend_options)
        and not (asked.tools or ask.images or answer.draft.reasoning or "top_logprobs" in asked.options)
    )


def _can_be_ended(messages: Sequence[Json]) -> bool:
    """The answer so far can be put at the end: there is no other beginning of an answer, or one in plain text."""
    last = messages[-1]
    return last["role"] != "assistant" or (
        isinstance(last.get("content"), str) and not last.get("tool_calls")
    )


# --------------------------------------------------------------------------------------------------- what is asked


def size_with(size: Size, draft: Draft) -> Size:
    """The size of a request that has the answer so far in its prompt: by its tokens, which were counted as they came.

    Where several came in each piece, and only the pieces could be counted, its length says how many there are at least.
    """
    limit = size.max_output_tokens
    at_least = math.ceil(len(draft.text.encode()) / MOST_BYTES_PER_TOKEN)
    return size._replace(
        fixed_tokens=size.fixed_tokens + max(draft.tokens, at_least),
        max_output_tokens=None if limit is None else max(1, limit - draft.tokens - draft.thought),
    )


def continued(call: Call, draft: Draft, seam: Seam, *, repeats: bool = True) -> Call:
    """The call that goes on with the draft. What was thought before is told, and not thought again."""
    asked = call.generation
    options = dict(asked.options)
    if (limit := options.get("max_output_tokens")) is not None:
        options["max_output_tokens"] = max(1, limit - draft.tokens - draft.thought)
    if draft.reasoning:
        options["reasoning_effort"] = "none"
    messages = asked.messages
    message: Json = {"role": "assistant", "content": draft.text}
    if messages[-1]["role"] == "assistant":  # the caller's own beginning of the answer
        message = {**messages[-1], "content": messages[-1]["content"] + draft.text}
        messages = messages[:-1]
    if draft.reasoning:
        message["reasoning_content"] = draft.reasoning
    generation = replace(asked, messages=(*messages, message), options=options)
    continues = Continuation(seam, draft.text, draft.tokens, draft.reasoning, repeats)
    return replace(call, generation=generation, continues=continues)


def is_begun(generation: Generation) -> bool:
    """The caller has begun the answer itself: the conversation ends with what an assistant said, in plain text."""
    last = generation.messages[-1]
    if last["role"] != "assistant":
        return False
    return bool(last["content"]) and not (last.get("tool_calls") or last.get("refusal"))


def begun(call: Call, prefill: Prefill | None) -> Call:
    """The call that goes on from the caller's own beginning; who is not known to go on is asked as it is."""
    if prefill in (None, Prefill.CLOSES):
        return call
    repeats = prefill is Prefill.REPEATS
    return replace(call, continues=Continuation(Seam.TEXT_PREFILL, "", 0, repeats=repeats))


def from_text(call: Call) -> Call:
    """The call for a backend that knows no tokens: an exact seam is none there."""
    assert call.continues is not None
    worse = max(call.continues.seam, Seam.TEXT_PREFILL)
    return replace(call, continues=replace(call.continues, seam=worse))


def asked_before(call: Call) -> tuple[Json, ...]:
    """The messages of a continued call as they were before there was an answer."""
    assert call.continues is not None
    *messages, last = call.generation.messages
    own = last["content"].removesuffix(call.continues.text)
    return (*messages, {"role": "assistant", "content": own}) if own else tuple(messages)


def stops_of(generation: Generation) -> tuple[str, ...]:
    """The stop texts, none of them empty."""
    stop = generation.options.get("stop") or ()
    return tuple(text for text in ((stop,) if isinstance(stop, str) else stop) if text)


def joined(usage: Usage, kept: Draft) -> Usage:
    """The usage of the whole answer, from that of its last part, whose prompt had the text so far in it."""
    prompt = max(0, usage.prompt_tokens - kept.tokens)
    return replace(
        usage,
        prompt_tokens=prompt,
        completion_tokens=usage.completion_tokens + kept.tokens + kept.thought,
        cached_prompt_tokens=min(usage.cached_prompt_tokens, prompt),
        reasoning_tokens=usage.reasoning_tokens + kept.thought,
    )
