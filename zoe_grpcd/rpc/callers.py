"""Who is at the other end of a connection that reaches gRPC through the TLS front. One rule: asking costs a look-up."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """`name`: whose certificate the caller has shown; empty without one. `address`: as ipv4:192.168.1.9:40100."""

    name: str
    address: str


class Callers:
    """By what gRPC calls their connections: `context.peer()`."""

    def __init__(self) -> None:
        self._known: dict[str, Caller] = {}

    def __len__(self) -> int:
        """Connections over TLS."""
        return len(self._known)

    def arrive(self, peer: str, caller: Caller) -> None:
        """A connection begins."""
        self._known[peer] = caller

    def leave(self, peer: str) -> None:
        """It is over."""
        self._known.pop(peer, None)

    def remote(self, peer: str) -> bool:
        """Whether this came over TLS, though gRPC takes it for a unix socket."""
        return peer in self._known

    def certificate_name(self, peer: str) -> str:
        """Whose certificate was shown and checked; empty: none was."""
        known = self._known.get(peer)
        return known.name if known else ""

    def who(self, peer: str) -> str:
        """The certificate's name, else where the caller is."""
        known = self._known.get(peer)
        return (known.name or known.address) if known else peer
