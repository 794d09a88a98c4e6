"""Who may call, and what each may do: the section `auth`, and the file that it may name.

Rule: a file with keys is its owner's alone, or it is not read.
"""

import hashlib
import os
import stat
from pathlib import Path
from typing import Literal, Self

from pydantic import PrivateAttr, field_validator

from zoe_grpcd.config.routing import Priority
from zoe_grpcd.config.section import OFF, Section, needed, option
from zoe_grpcd.config.values import Digest, FilePath, Flag, KeyText, Name, Names, Number, PositiveCount, Share


class Key(Section):
    """Someone who may call."""

    name: Name = needed("Whose it is; unique. Shown in statistics.")
    key: KeyText | None = option(None, "The key, best as ${VAR} or ${file:NAME}. Either this or key_sha256.")
    key_sha256: Digest | None = option(None, "SHA-256 of the key, 64 hex digits. Either this or key.")
    models: Names = option(
        ["*"],
        "Models that it may use: names, aliases, and globs like qwen*; * is all. An alias stands for its models.",
    )
    priority: Priority = option("normal", "Highest priority that its requests get.")
    locality: Literal["any", "prefer_local", "local_only"] = option(
        "any", "How near its requests stay at least: local_only never leaves backends that are local."
    )
    cost_weight: Share | None = option(
        None, "Weight of cost, 0 to 1, for its requests that bring none. Unset: routing.weights.cost."
    )
    rpm: PositiveCount | None = option(None, "Requests in any minute. Unset: no limit.")
    tpm: PositiveCount | None = option(
        None, "Tokens in any minute, of prompts and answers together. Unset: no limit."
    )
    max_concurrent: PositiveCount | None = option(None, "Calls at the same time. Unset: no limit.")
    daily_budget_usd: Number | None = option(
        None, "US dollars a day, which ends at 00:00 UTC. What costs nothing goes on. Unset: no limit."
    )
    admin: Flag = option(OFF, "Whether it may use the admin service where that has an address with a port.")

    @property
    def digest(self) -> bytes:
        """Its SHA-256."""
        if self.key is not None:
            return hashlib.sha256(self.key.get_secret_value().encode()).digest()
        return bytes.fromhex(self.key_sha256.get_secret_value()) if self.key_sha256 else b""


class Auth(Section):
    """Who may call. No keys: whoever reaches a loopback address or the socket."""

    keys: tuple[Key, ...] = option((), "Everyone who may call.")
    keys_file: FilePath | None = option(
        None, "A file with more of them, a list like `keys`; for its owner alone to read (chmod 600)."
    )
    _filed: tuple[Key, ...] = PrivateAttr(())

    @field_validator("keys")
    @classmethod
    def _are_different(cls, keys: tuple[Key, ...]) -> tuple[Key, ...]:
        names: dict[bytes, str] = {}
        for key in keys:
            first = names.setdefault(key.digest, key.name)
            if key.digest and first != key.name:
                raise ValueError(f"must not have the same key twice, as {first} and {key.name}")
        return keys

    @field_validator("keys_file")
    @classmethod
    def _is_private(cls, path: Path | None) -> Path | None:
        if path is not None:
            check_owner(path)
        return path

    @property
    def filed(self) -> tuple[Key, ...]:
        """The keys of the file."""
        return self._filed

    @property
    def everyone(self) -> tuple[Key, ...]:
        """The keys of the configuration and of the file."""
        return (*self.keys, *self._filed)

    def with_filed(self, keys: tuple[Key, ...]) -> Self:
        """The same with the keys that the file has."""
        auth = self.model_copy()
        auth._filed = keys  # noqa: SLF001 - it is our own
        return auth


def check_owner(path: Path) -> None:
    """Raises ValueError, with what would mend it, if somebody else could read or change the file."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else "its name is not valid"
        raise ValueError(f"must be a file that can be read: {cause}") from None
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("must be a file")
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ValueError(f"must be for its owner alone: chmod 600 {path} mends that")
    if status.st_uid not in (0, os.geteuid()):
        raise ValueError(f"must belong to who runs the daemon: chown {os.geteuid()} {path} mends that")
