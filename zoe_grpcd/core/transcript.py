"""What one attempt has brought so far: counted for the caller, learned from by the fleet. Times are on one clock."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from zoe_grpcd.core.answer import Delta, Event, Finish, FinishReason, Measured, Usage
from zoe_grpcd.core.backend import FREE, Price
from zoe_grpcd.core.continuation import NOTHING_YET, Draft, joined
from zoe_grpcd.core.decision import Candidate
from zoe_grpcd.core.errors import UpstreamError
from zoe_grpcd.core.estimate import Size
from zoe_grpcd.core.hold import Hold
from zoe_grpcd.core.learning import IMAGE_TOKENS, Lesson
from zoe_grpcd.core.outcome import Attempt, Completed, Outcome, Timings

NOT_MEASURED = Measured()
LETTERS = 4  # of a token


@dataclass(slots=True)
class Transcript:
    """One attempt, from its start. `kept` and `opened`: what it goes on from, and when that had begun."""

    chosen: Candidate
    size: Size
    started: float
    cold: bool = False
    waited: bool = False
    price: Price = FREE
    accepted_at: float | None = None
    first_at: float | None = None
    tokens: int = 0
    finish: Finish | None = None
    kept: Draft = NOTHING_YET
    opened: float | None = None
    spent: float = 0.0  # US dollars, by the attempts that were lost
    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    thought: int = 0  # of `tokens`
    called: bool = False  # a tool
    refused: bool = False
    limit: int | None = None  # tokens that it may say
    length: int = 0  # characters of all that `tokens` counts
    end: float = inf  # tokens beyond which it is taken to have none
    argued: int = 0  # characters of its tool calls, whose tokens nobody counts

    @property
    def is_full(self) -> bool:
        """It has said all that it may."""
        return self.limit is not None and 0 < self.limit <= self.tokens

    def accepted(self, now: float) -> None:
        """The backend has answered, if only with headers so far."""
        if self.accepted_at is None:
            self.accepted_at = now

    def written(self) -> int:
        """Tokens so far."""
        return self.tokens

    @property
    def said(self) -> int:
        """Tokens at least: a server may send less than one at a time, and few are shorter than four characters."""
        return min(self.tokens, self.length // LETTERS) + self.argued // LETTERS

    def take(self, batch: list[Event], now: float) -> list[Event]:
        """Counts a batch and returns what of it goes to the caller: all but the end."""
        if self.first_at is None:
            self.first_at = now
        events: list[Event] = []
        for event in batch:
            if isinstance(event, Finish):
                self.finish = event
                break
            if isinstance(event, Delta):
                self.tokens += event.tokens
                self.length += len(event.text) + len(event.reasoning) + len(event.refusal)
                if event.text:
                    self.texts.append(event.text)
                elif event.reasoning:
                    self.thoughts.append(event.reasoning)
                    self.thought += event.tokens
                elif event.refusal:
                    self.refused = True
            else:
                self.called = True
                self.argued += len(event.arguments) + len(event.name)
            events.append(event)
        return events

    def draft(self, hold: Hold, *, thoughts: bool) -> Draft:
        """What of this attempt the caller has, or with `Hold.ALL` is to have; `thoughts`: it is shown those."""
        text = "" if hold is Hold.OBJECTS else "".join(self.texts)
        fixed = self.refused or (self.called and hold in (Hold.NOTHING, Hold.ALL))
        if not (text or fixed or (self.thoughts and thoughts)):
            return NOTHING_YET
        tokens = self.tokens - self.thought if text else 0
        return Draft(text, "".join(self.thoughts), tokens, self.thought, fixed)

    def usage(self) -> Usage:
        """What the backend counted of this attempt, else our estimate, marked as one."""
        if self.finish and self.finish.usage:
            return self.finish.usage
        size = self.size
        prompt = round(size.prompt_bytes / 3.6) + size.fixed_tokens + IMAGE_TOKENS * size.images
        return Usage(prompt_tokens=prompt, completion_tokens=self.tokens, estimated=True)

    def cost(self) -> float:
        """US dollars for this attempt."""
        return self.price.of(self.usage())

    def lesson(self, now: float, *, failed: bool) -> Lesson:
        """What the fleet may learn from it."""
        usage = self.finish.usage if self.finish else None
        return Lesson(
            failed,
            now - self.started,
            None if self.first_at is None else self.first_at - self.started,
            usage.completion_tokens if usage else self.tokens,
            whole=bool(self.finish and self.finish.reason is FinishReason.STOP and not self.kept.begun),
            usage=usage,
            measured=self.finish.measured if self.finish else Measured(),
            prompt_bytes=self.size.prompt_bytes,
            fixed_tokens=self.size.fixed_tokens,
            images=self.size.images,
            cold=self.cold,
            waited=self.waited,
        )

    def attempt(
        self,
        number: int,
        request_started: float,
        now: float,
        outcome: Outcome,
        error: UpstreamError | None = None,
    ) -> Attempt:
        """The attempt as it is reported to the caller."""
        return Attempt(
            number,
            self.chosen.deployment,
            self.chosen.kind,
            self.chosen.local,
            outcome,
            self.started - request_started,
            now - self.started,
            error_reason=error.fault.value if error else "",
            http_status=error.http_status if error else 0,
            output_tokens=self.tokens,
        )

    def completed(
        self, attempts: Sequence[Attempt], request_started: float, queued: float, now: float
    ) -> Completed:
        """The end of the request, with this attempt as the one that served it, or the last part of it."""
        assert self.finish is not None
        usage = joined(self.usage(), self.kept) if self.kept.text else self.usage()
        mine = self.attempt(len(attempts) + 1, request_started, now, Outcome.OK)
        return Completed(
            self.chosen.deployment.model,
            self.finish.reason,
            usage,
            self._timings(usage, request_started, queued, now),
            (*attempts, mine),
            self.spent + self.cost(),
        )

    def _timings(self, usage: Usage, request_started: float, queued: float, now: float) -> Timings:
        assert self.finish is not None
        measured, first = self.finish.measured, self.opened or self.first_at or now
        if self.kept.text:  # it measured the last part only
            measured = NOT_MEASURED
        generation = measured.decode if measured.decode is not None else now - first
        tokens = measured.decode_tokens or max(0, usage.completion_tokens - 1)
        return Timings(
            queue=queued,
            load=measured.load or 0.0,
            connect=(self.accepted_at or first) - self.started,
            time_to_first_token=first - request_started,
            generation=generation,
            total=now - request_started,
            tokens_per_second=tokens / generation if generation > 0 else 0.0,
        )
