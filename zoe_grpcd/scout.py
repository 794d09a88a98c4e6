"""Finds out what a deployment makes of an answer that has begun already: two tiny requests, once for each.

The one rule: it is asked with the settings of a real request, so that nothing is loaded anew or kept for another time;
and both at once, so that nothing is loaded anew for the second one, if others have asked for another model meanwhile.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import replace

from zoe_grpcd.core.answer import Delta, Finish, Seam, Usage
from zoe_grpcd.core.backend import Deployment, Prefill
from zoe_grpcd.core.continuation import Draft, continued
from zoe_grpcd.core.decision import Estimate
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.estimate import MESSAGE_TOKENS, Size, estimate
from zoe_grpcd.core.generation import Call, Generation
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.ports import Dispatcher

# As long in tokens, whether it is one message or two, the second of which is left open. The colon is a token of its own.
ASKED, BEGUN = "Go", ": on and on"
BOTH = Size(len(2 * (ASKED + BEGUN)), 3 * MESSAGE_TOKENS, 2)
LIMIT = 10.0  # seconds for both


class Scout:
    """One for the life of the daemon. `dispatchers` go by backend name."""

    def __init__(
        self, fleet: Fleet, dispatchers: Mapping[str, Dispatcher], clock: Callable[[], float]
    ) -> None:
        self._fleet = fleet
        self._dispatchers = dispatchers
        self._clock = clock
        self._looks: dict[tuple[str, str], asyncio.Task[Prefill | None]] = {}

    def begin(self, call: Call, deployment: Deployment) -> "asyncio.Task[Prefill | None]":
        """Looks, in a task of its own, unless somebody does already; `call` is a request to this deployment."""
        key = (deployment.backend, deployment.model)
        task = self._looks.get(key)
        if task is None:
            task = self._looks[key] = asyncio.create_task(self._look(call, deployment))
            task.add_done_callback(lambda _: self._looks.pop(key, None))
        return task

    async def close(self) -> None:
        """Ends what is going on."""
        tasks = tuple(self._looks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self, call: Call, deployment: Deployment) -> Prefill | None:
        """What it does, which the fleet is told; None: there was no answer to tell."""
        now = self._clock()
        if (expected := self._expected(deployment, now)) is None:
            return None
        dispatcher = self._dispatchers[deployment.backend]
        lease = self._fleet.leases.take(deployment, now, expected)
        try:
            async with asyncio.timeout(LIMIT):
                found = await _compared(dispatcher, call)
        except TimeoutError:
            return None
        except UpstreamError as error:
            if error.fault is not Fault.REJECTED:
                return None
            found = Prefill.CLOSES
        finally:
            self._fleet.leases.release(lease, None, self._clock())
        self._fleet.catalogue.note_prefill(deployment, found)
        return found

    def _expected(self, deployment: Deployment, now: float) -> Estimate | None:
        """What both will take: next to nothing, which must not look like the work of a usual request. None: it is gone."""
        view = self._fleet.picture.view(deployment, now)
        if view is None:
            return None
        return estimate(BOTH, view, self._fleet.picture.snapshot(now).backends[deployment.backend])


async def _compared(dispatcher: Dispatcher, call: Call) -> Prefill:
    begun = continued(_plain(call, ASKED), Draft(BEGUN, tokens=1), Seam.TEXT_PREFILL)
    both = [asyncio.create_task(_asked(dispatcher, one)) for one in (_plain(call, ASKED + BEGUN), begun)]
    try:
        (_, whole), (text, usage) = await asyncio.gather(*both)
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
    return _found(whole, text, usage)


async def _asked(dispatcher: Dispatcher, call: Call) -> tuple[str, Usage | None]:
    """The text and what was counted."""
    text, usage = "", None
    async with aclosing(dispatcher.stream(call)) as upstream:
        async for batch in upstream:
            for event in batch:
                if isinstance(event, Delta):
                    text += event.text
                elif isinstance(event, Finish):
                    usage = event.usage
    return text, usage


def _plain(call: Call, text: str) -> Call:
    """A request for one token with the settings of another, which decide what is loaded and for how long."""
    generation = Generation(
        ({"role": "user", "content": text},),
        options={"max_output_tokens": 1, "temperature": 0.0},
        backend_options=call.generation.backend_options,
    )
    return replace(call, generation=generation, continues=None)


def _found(whole: Usage | None, text: str, begun: Usage | None) -> Prefill:
    """An answer that was closed has more tokens around it: the mark of its end, and the beginning of another."""
    if whole is None or begun is None or not whole.prompt_tokens:
        return Prefill.CLOSES  # who does not count can't be trusted with it
    if begun.prompt_tokens > whole.prompt_tokens:
        return Prefill.CLOSES
    return Prefill.REPEATS if text.startswith(BEGUN) else Prefill.CONTINUES
