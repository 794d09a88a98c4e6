"""From the metadata of a call to the caller whose key it is.

Rule: a key is compared with every one that is known, in constant time, so that the time tells nothing of any.
"""

import hashlib
import hmac
import logging
import time
from collections.abc import Iterable
from typing import NamedTuple

from zoe_grpcd.access.caller import Caller, Clocks
from zoe_grpcd.access.ledger import Ledger
from zoe_grpcd.core.errors import PermissionDenied, Unauthenticated
from zoe_grpcd.core.licence import Grant
from zoe_grpcd.ports import StateStore

log = logging.getLogger(__name__)

SCHEME = "bearer"
# Of keys that are not known the log is told no more often than this (seconds).
QUIET = 60.0
CLOCKS = Clocks(time.monotonic, time.time)
_HOW = "send the metadata `authorization: Bearer KEY`"


class Credential(NamedTuple):
    """A key that is known, by its SHA-256, and what it grants."""

    digest: bytes
    grant: Grant


def digest_of(key: str) -> bytes:
    """What is kept of a key: its SHA-256."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()


class Access:
    """All keys, and what each has used; one for the life of the daemon.

    `store`: where budgets survive a restart. `local`: nobody but this machine's users can reach the daemon, so that
    without keys none is asked for. `clocks`: monotonic and unix seconds.
    """

    def __init__(self, store: StateStore, *, local: bool = True, clocks: Clocks = CLOCKS) -> None:
        self._local = local
        self._clocks = clocks
        self._ledger = Ledger(store)
        self._callers: dict[str, Caller] = {}
        self._known: tuple[tuple[bytes, Caller], ...] = ()
        self._strangers = 0
        self._quiet_until = 0.0

    def __bool__(self) -> bool:
        """Whether a key is asked for."""
        return bool(self._known) or not self._local

    def change(self, credentials: Iterable[Credential]) -> None:
        """The keys from now on. What a key of the same name has used is kept; calls that run go on as they began."""
        known = []
        for digest, grant in credentials:
            caller = self._callers.get(grant.name)
            if caller is None:
                caller = self._callers[grant.name] = Caller(grant, self._clocks, self._ledger)
            caller.change(grant)
            known.append((digest, caller))
        self._known = tuple(known)

    def identify(self, authorization: str, peer: str = "") -> Caller:
        """Whose key the value of `authorization` holds. Raises Unauthenticated; the log hears of `peer` then."""
        if not authorization:
            raise Unauthenticated(f"a key is needed: {_HOW}", cause="CREDENTIALS_MISSING")
        scheme, _, key = authorization.partition(" ")
        found: Caller | None = None
        digest = digest_of(key.strip())
        for known, caller in self._known:
            if hmac.compare_digest(known, digest):
                found = caller
        if found is None or scheme.lower() != SCHEME:
            self._note_stranger(peer)
            raise Unauthenticated(f"the key is not valid: {_HOW}", cause="CREDENTIALS_INVALID")
        return found

    def _note_stranger(self, peer: str) -> None:
        """Tells the log, which a guesser of keys must not fill."""
        self._strangers += 1
        if (now := self._clocks.now()) >= self._quiet_until:
            log.warning(
                "calls with a key that is not known: %d, the last one from %s", self._strangers, peer or "?"
            )
            self._strangers, self._quiet_until = 0, now + QUIET

    def administrator(self, authorization: str, peer: str = "") -> Caller:
        """The same, for what only keys with `admin: true` may do. Raises PermissionDenied for another one."""
        caller = self.identify(authorization, peer)
        if not caller.grant.admin:
            name = caller.grant.name
            text = f"key {name!r} may not use the admin service; that takes one with admin: true"
            raise PermissionDenied(text, metadata={"key": name})
        return caller
