"""zoe.inference.v1.InferenceService: parse, call the router, encode."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import grpc

from zoe.inference.v1 import inference_service_pb2 as pb
from zoe_grpcd.core.answer import Delta, Event, Finish, ToolDelta
from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.decision import Decision
from zoe_grpcd.core.errors import Exhausted, Unimplemented
from zoe_grpcd.core.outcome import Completed, Moved, Switched
from zoe_grpcd.core.progress import Progress
from zoe_grpcd.core.resolve import reads_intent, shape_of
from zoe_grpcd.decisions import Entry
from zoe_grpcd.patience import Patience
from zoe_grpcd.ports import Understanding
from zoe_grpcd.router import Router
from zoe_grpcd.rpc import encode
from zoe_grpcd.rpc.fields import Violations, seconds_of
from zoe_grpcd.rpc.guard import Context, Gate, first_of, request_id_of, streaming, unary
from zoe_grpcd.rpc.parse import Besides, ask_of
from zoe_grpcd.run import Deliver, Item

SERVICE = "zoe.inference.v1.InferenceService"
MAX_COALESCE = 1.0
# A first write that has begun is given so long to end, whatever ends the call (seconds).
FIRST_WRITE = 1.0

Overhear = Callable[[Ask, Entry, Deliver], AbstractContextManager[Deliver]]
"""What a request's answer is delivered with in place of its own way, and told when it is over."""


def unheard(_ask: Ask, _entry: Entry, deliver: Deliver) -> AbstractContextManager[Deliver]:
    """Nobody listens."""
    return nullcontext(deliver)


@dataclass(slots=True)
class InferenceServicer:
    """The inference methods. What another configuration brings is set between two requests.

    `allow_http_images`: image addresses may be passed on to backends. `write_timeout`: a client that takes nothing for
    this long, with its window full, is given up (seconds). `understanding`: finds the intent before the decision; None:
    the decision finds it. `overhear`: takes down what is said, for an operator who wants that.
    """

    router: Router
    gate: Gate
    allow_http_images: bool = False
    write_timeout: float = 30.0
    understanding: Understanding | None = None
    overhear: Overhear = unheard

    def handlers(self) -> grpc.GenericRpcHandler:
        """All methods as one generic handler."""
        methods = {
            "Route": unary(self.route, pb.RouteRequest, pb.RouteResponse, self.gate),
            "Complete": unary(self.complete, pb.CompleteRequest, pb.CompleteResponse, self.gate),
            "StreamComplete": streaming(
                self.stream_complete, pb.StreamCompleteRequest, pb.StreamCompleteResponse, self.gate
            ),
            "RateResponse": unary(
                self.rate_response, pb.RateResponseRequest, pb.RateResponseResponse, self.gate
            ),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def route(self, request: pb.RouteRequest, context: Context, entry: Entry) -> pb.RouteResponse:
        """Decides only."""
        ask = self._ask(request, context, entry)
        if self.understanding is not None:
            await self._understand(ask, self.understanding)
        decision = self.router.route(ask, explain=request.explain)
        entry.hear(decision)
        context.set_trailing_metadata(_trailers(decision))
        response = pb.RouteResponse()
        encode.put_decision(response.decision, decision)
        return response

    async def complete(
        self, request: pb.CompleteRequest, context: Context, entry: Entry
    ) -> pb.CompleteResponse:
        """The whole answer at once; a backend that dies in the middle of it is never seen."""
        ask = self._ask(request, context, entry)
        if self.understanding is not None:
            await self._understand(ask, self.understanding)
        answer = _Whole(encode.Answer(reasoning=ask.include_reasoning))
        with self.overhear(ask, entry, answer.take) as deliver:
            await self.router.run(ask, deliver, explain=request.explain, whole=True)
        assert answer.decision is not None  # run delivers both, or raises
        assert answer.end is not None
        entry.told(answer.decision)
        entry.completed(answer.end)
        context.set_trailing_metadata(_trailers(answer.decision))
        return answer.text.response(answer.decision, answer.end, ask.request_id)

    async def stream_complete(
        self, request: pb.StreamCompleteRequest, context: Context, entry: Entry
    ) -> None:
        """The answer as it comes. What arrives while a write is pending is merged upstream, in the next read."""
        notes = Violations()
        coalesce = seconds_of("options.max_coalesce", request.options, "max_coalesce", notes) or 0.0
        if coalesce > MAX_COALESCE:
            notes.add("options.max_coalesce", f"must be at most {MAX_COALESCE:g} s")
        ask = self._ask(request, context, entry, notes)
        if self.understanding is not None:
            await self._understand(ask, self.understanding)
        stream = _Stream(ask, context, entry, coalesce, self.write_timeout)
        try:
            with self.overhear(ask, entry, stream.write) as deliver:
                await self.router.run(ask, deliver, explain=request.explain, eager=request.options.progress)
        finally:
            stream.close()

    async def rate_response(
        self, request: pb.RateResponseRequest, context: Context, entry: Entry
    ) -> pb.RateResponseResponse:
        """Not in this version."""
        raise Unimplemented("RateResponse is not implemented in this version")

    async def _understand(self, ask: Ask, understanding: Understanding) -> None:
        if reads_intent(ask):
            ask.verdict = await understanding(ask.text, shape_of(ask))

    def _ask(
        self,
        request: pb.RouteRequest | pb.CompleteRequest | pb.StreamCompleteRequest,
        context: Context,
        entry: Entry,
        notes: Violations | None = None,
    ) -> Ask:
        metadata = context.invocation_metadata()  # made anew for whoever asks
        if not isinstance(request, pb.RouteRequest):
            entry.request_id = request_id_of(request.request_id, metadata)
        if self.gate.traces is not None:
            entry.trace = self.gate.traces(
                first_of(metadata, "traceparent"), first_of(metadata, "tracestate")
            )
        ask = ask_of(
            request.spec,
            entry.request_id,
            allow_http_images=self.allow_http_images,
            besides=Besides(
                "" if request.spec.HasField("target") else first_of(metadata, "x-capability"),
                first_of(metadata, "x-priority"),
                isinstance(request, pb.StreamCompleteRequest),
                self.router.mistakes,
                context.time_remaining(),
                self.gate.callers.who(context.peer()),
            ),
            notes=notes,
        )
        if entry.visit is not None:
            entry.visit.begin(ask, sends=not isinstance(request, pb.RouteRequest))
        ask.observer, ask.trace = entry.hear, entry.trace
        return ask


@dataclass(slots=True)
class _Whole:
    """One Complete call: what the router delivers, put together."""

    text: encode.Answer
    decision: Decision | None = None
    end: Completed | None = None

    async def take(self, item: Item) -> None:
        """Adds an item."""
        if isinstance(item, Decision):
            self.decision = item
        elif isinstance(item, Completed):
            self.end = item
        elif isinstance(item, list):
            for event in item:
                if not isinstance(event, Finish):
                    self.text.take(event)


class _Stream:
    """One StreamComplete call, as it is written."""

    __slots__ = (
        "_ask",
        "_coalesce",
        "_context",
        "_entry",
        "_patience",
        "_sequence",
        "_write_timeout",
    )

    def __init__(
        self, ask: Ask, context: Context, entry: Entry, coalesce: float, write_timeout: float
    ) -> None:
        self._ask = ask
        self._context = context
        self._entry = entry
        self._coalesce = coalesce
        self._write_timeout = write_timeout
        self._patience = Patience()
        self._sequence = 0

    def close(self) -> None:
        """Leaves no timer behind."""
        self._patience.close()

    async def write(self, item: Item) -> None:
        """Writes an item; after a piece of the answer, lets `max_coalesce` pass so that more arrives at once."""
        if not isinstance(item, list):
            await self._step(item)
        elif await self._events(item) and self._coalesce:
            await asyncio.sleep(self._coalesce)

    async def _step(self, item: Decision | Progress | Moved | Switched | Completed) -> None:
        """Writes what is no piece of the answer."""
        message = self._next()
        if isinstance(item, Decision):
            self._entry.told(item)
            self._context.set_trailing_metadata(_trailers(item))
            encode.put_decision(message.decision, item)
        elif isinstance(item, Completed):
            self._entry.completed(item)
            encode.put_completed(message.completed, item, self._ask.request_id)
        elif isinstance(item, Progress):
            encode.put_progress(message.progress, item)
        elif isinstance(item, Moved):
            encode.put_moved(message.backend_switched, item)
        else:
            encode.put_switched(message.backend_switched, item)
        await self._write(message)

    async def _begin(self, message: pb.StreamCompleteResponse) -> None:
        """The first write. It sends metadata, too, and no error could be sent any more if that were cut off."""
        writing = asyncio.ensure_future(self._context.write(message))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait((writing,), timeout=FIRST_WRITE)
            if writing.done() and not writing.cancelled():
                writing.exception()  # nobody else asks for it
            raise

    async def _events(self, events: list[Event]) -> bool:
        """Writes what the caller wants of a batch; True if that was anything."""
        written = False
        for event in events:
            message = self._next()
            if isinstance(event, Delta):
                if not encode.put_delta(message.delta, event, reasoning=self._ask.include_reasoning):
                    continue
            elif isinstance(event, ToolDelta):
                encode.put_tool_delta(message.tool_call_delta, event)
            await self._write(message)
            written = True
        return written

    def _next(self) -> pb.StreamCompleteResponse:
        return pb.StreamCompleteResponse(sequence=self._sequence)

    async def _write(self, message: pb.StreamCompleteResponse) -> None:
        self._sequence += 1
        try:
            with self._patience(self._write_timeout):
                if self._sequence == 1:
                    await self._begin(message)
                else:
                    await self._context.write(message)
        except TimeoutError:
            text = f"the client has read nothing for {self._write_timeout:g} s"
            raise Exhausted(text, cause="SLOW_CONSUMER") from None


def _trailers(decision: Decision) -> tuple[tuple[str, str], ...]:
    backend = encode.header(decision.chosen.deployment.backend)
    return ("x-zoe-decision-id", decision.id), ("x-zoe-backend", backend)
