"""The two sides of a connection that is passed on. One rule: what one receives, the other sends, and no byte is lost."""

import asyncio
from typing import Any


class Side(asyncio.Protocol):
    """One side of a connection: what it receives, the other one sends, as fast as that can. Both end together.

    What comes before they are joined is kept: uvloop goes on reading when it is asked to pause at the very beginning.
    """

    def __init__(self) -> None:
        self._other: Side | None = None
        self._early: list[bytes] = []
        self._transport: Any = None
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        """It begins, and nothing is read until it is joined."""
        self._transport = transport
        transport.pause_reading()

    def join(self, other: "Side") -> None:
        """What is received goes there from now on."""
        self._other = other
        if other.over.done():
            self.end()
            return
        for data in self._early:
            other.send(data)
        self._early.clear()
        self._transport.resume_reading()

    def told(self, name: str) -> Any:
        """Something that the transport knows."""
        return self._transport.get_extra_info(name)

    def end(self) -> None:
        """Sends what there is to send, and closes."""
        self._transport.close()

    def abort(self) -> bool:
        """Closes at once; False if there is nothing to close."""
        if self._transport is None:
            return False
        self._transport.abort()
        return True

    def data_received(self, data: bytes) -> None:
        """For the other side."""
        if self._other is not None:
            self._other.send(data)
        else:
            self._early.append(data)

    def send(self, data: bytes) -> None:
        """Sends it as soon as it can."""
        self._transport.write(data)

    def pause_writing(self) -> None:
        """The other side receives faster than this one can send."""
        if self._other is not None:
            self._other.pause()

    def pause(self) -> None:
        """Receives nothing for a while."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Not any more."""
        if self._other is not None:
            self._other.resume()

    def resume(self) -> None:
        """Receives again."""
        self._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """The other side ends, too."""
        if not self.over.done():
            self.over.set_result(None)
        if self._other is not None:
            self._other.end()
