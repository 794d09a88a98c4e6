"""Waiting for a condition, with a bound: what the tests have in place of sleeping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")
POLL = 0.01  # seconds
LONG = (
    30.0  # seconds that nothing takes, however busy the machine is: whoever waits so long has found a mistake
)


@overload
async def eventually(condition: Callable[[], Awaitable[T]], within: float = ...) -> T: ...
@overload
async def eventually(condition: Callable[[], T], within: float = ...) -> T: ...
async def eventually(condition: Callable[[], Any], within: float = LONG) -> Any:
    """Returns the condition's value as soon as it is true; the condition may be a coroutine function.

    Raises:
        AssertionError: it was not within that many seconds; the text has the last value.
    """
    deadline = time.monotonic() + within
    while True:
        value: Any = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, f"still {value!r} after {within:g} s"
        await asyncio.sleep(POLL)


def wait_until(condition: Callable[[], T], within: float = LONG) -> T:
    """The same for tests that have no event loop."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"still {value!r} after {within:g} s"
        time.sleep(POLL)
    return value
