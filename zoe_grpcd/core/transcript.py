"""What one attempt has brought so far: counted for the caller, learned from by the fleet. Times are on one clock."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from zoe_grpcd.core.domain import (
    FREE,
    Attempt,
    Candidate,
    Completed,
    Delta,
    Event,
    Finish,
    FinishReason,
    Measured,
    Outcome,
    Price,
    Timings,
    Usage,
)
from zoe_grpcd.core.errors import UpstreamError
from zoe_grpcd.core.estimate import Size
from zoe_grpcd.core.learning import Lesson


@dataclass(slots=True)
class Transcript:
    """One attempt, from its start. `delivered`: something of it has reached the caller."""

    chosen: Candidate
    size: Size
    started: float
    cold: bool = False
    waited: bool = False
    slowdown: float = 1.0
    price: Price = FREE
    accepted_at: float | None = None
    first_at: float | None = None
    tokens: int = 0
    delivered: bool = False
    finish: Finish | None = field(default=None)

    def accepted(self, now: float) -> None:
        """The backend has answered, if only with headers so far."""
        if self.accepted_at is None:
            self.accepted_at = now

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
            events.append(event)
        return events

    def usage(self) -> Usage:
        """What the backend counted, else our estimate, marked as one."""
        if self.finish and self.finish.usage:
            return self.finish.usage
        prompt = round(self.size.prompt_bytes / 3.6) + self.size.fixed_tokens
        return Usage(prompt_tokens=prompt, completion_tokens=self.tokens, estimated=True)

    def lesson(self, now: float, *, failed: bool) -> Lesson:
        """What the fleet may learn from it."""
        usage = self.finish.usage if self.finish else None
        return Lesson(
            failed,
            now - self.started,
            None if self.first_at is None else self.first_at - self.started,
            usage.completion_tokens if usage else self.tokens,
            whole=self.finish is not None and self.finish.reason is FinishReason.STOP,
            usage=usage,
            measured=self.finish.measured if self.finish else Measured(),
            prompt_bytes=self.size.prompt_bytes,
            fixed_tokens=self.size.fixed_tokens,
            cold=self.cold,
            waited=self.waited,
            slowdown=self.slowdown,
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
        """The end of the request, with this attempt as the one that served it."""
        assert self.finish is not None
        usage = self.usage()
        mine = self.attempt(len(attempts) + 1, request_started, now, Outcome.OK)
        return Completed(
            self.chosen.deployment.model,
            self.finish.reason,
            usage,
            self._timings(usage, request_started, queued, now),
            (*attempts, mine),
            self.price.of(usage),
        )

    def _timings(self, usage: Usage, request_started: float, queued: float, now: float) -> Timings:
        assert self.finish is not None
        measured, first = self.finish.measured, self.first_at or now
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
