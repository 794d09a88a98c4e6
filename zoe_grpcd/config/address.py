"""Where the daemon listens and where backends are: addresses and URLs.

Rule: nothing here resolves a name or touches the network.
"""

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr, ValidationInfo

_RUNTIME = "$XDG_RUNTIME_DIR/"
_PRIVATE_SUFFIXES = (".localhost", ".local", ".lan", ".internal", ".home.arpa")
_UNIX_PATH_BYTES = 107  # what sockaddr_un holds


def runtime_directory(env: Mapping[str, str]) -> Path:
    """Where sockets go: $XDG_RUNTIME_DIR, else /run/user/UID, else $HOME/.cache.

    Never a folder that others can write to: someone could wait there with a socket of his own.
    """
    if configured := env.get("XDG_RUNTIME_DIR"):
        return Path(configured)
    user = Path(f"/run/user/{os.getuid()}")
    return user if user.is_dir() else Path(env.get("HOME") or Path.home()) / ".cache"


def address(value: str, info: ValidationInfo) -> str:
    """`host:port`, `[ipv6]:port` or `unix:/path`, in which a leading `$XDG_RUNTIME_DIR` is filled in."""
    if value.startswith("unix:"):
        return _socket(value.removeprefix("unix:"), (info.context or {}).get("env", os.environ))
    if host_of(value) is None:
        raise ValueError("must be host:port like 127.0.0.1:50051, or unix:/path/to/socket")
    return value


def _socket(path: str, env: Mapping[str, str]) -> str:
    if path.startswith(_RUNTIME):
        path = f"{runtime_directory(env)}/{path.removeprefix(_RUNTIME)}"
    path = re.sub(r"^/{2,}", "/", path)
    if not path.startswith("/") or "\0" in path:
        raise ValueError("must be an absolute path after unix:, like unix:/run/zoe-grpcd/grpcd.sock")
    if len(os.fsencode(path)) > _UNIX_PATH_BYTES:
        raise ValueError(
            f"must be at most {_UNIX_PATH_BYTES} bytes after unix:, or no socket can be made there"
        )
    return f"unix:{path}"


def switchable(value: object) -> object:
    """`off` -> None."""
    return None if value is False or value == "off" else value


def host_of(value: str) -> str | None:
    """The host of `host:port`; None if it is not of that form."""
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", value)
    if not match or int(match[3]) > 65535 or (match[1] and not _is_ip(match[1])):
        return None
    return match[1] or match[2]


def _is_ip(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_local(address: str) -> bool:
    """Whether only this machine can reach a server that listens on this address: host:port or a socket."""
    host = host_of(address)
    return address.startswith("unix:") or (host is not None and is_loopback(host))


def is_private(location: str) -> bool:
    """Whether a URL stays on this machine or in a private network, as far as its text tells."""
    try:
        host = (urlsplit(location).hostname or "").rstrip(".")
    except ValueError:
        return False
    try:
        return not ip_address(host).is_global
    except ValueError:
        return bool(host) and ("." not in host or host.endswith(_PRIVATE_SUFFIXES))


def url(value: str) -> str:
    """An http(s) URL without credentials, query or fragment; a trailing slash goes."""
    parts = _split(value)
    if parts.scheme not in {"http", "https"}:
        raise ValueError("must be a URL that begins with http:// or https://")
    if not parts.hostname:
        raise ValueError("must be a URL with a host, like http://127.0.0.1:8080")
    if "@" in parts.netloc:
        raise ValueError("must be a URL without user and password; put a key into api_key")
    if parts.query or parts.fragment:
        raise ValueError("must be a URL without ? and #")
    return value.rstrip("/")


def store(value: SecretStr) -> SecretStr:
    """`memory://`, `redis://...`, `rediss://...` or `unix://...` (Redis on a socket); it may hold a password."""
    text = value.get_secret_value()
    if "://" not in text or _split(text).scheme not in {"memory", "redis", "rediss", "unix"}:
        raise ValueError("must be memory:// or a URL that begins with redis:// or rediss://")
    return value


def state(value: SecretStr) -> SecretStr:
    """As a store, or `sqlite:///path`."""
    text = value.get_secret_value()
    if text.startswith("sqlite://"):
        path = text.removeprefix("sqlite://")
        if not path.startswith("/") or path.endswith("/") or "\0" in path:
            raise ValueError(
                "must have the absolute path of a file after sqlite://, like sqlite:///srv/state.db"
            )
        return value
    if "://" not in text or _split(text).scheme not in {"memory", "redis", "rediss", "unix"}:
        raise ValueError("must be memory://, sqlite:///path, or a URL that begins with redis:// or rediss://")
    return value


def store_text(value: SecretStr | None) -> str | None:
    """The URL of a store with its credentials masked, and without the query, which may hold some too."""
    if value is None:
        return None
    plain = value.get_secret_value().partition("?")[0]
    return re.sub(r"://.*@", "://**********@", plain)


def _split(value: str) -> SplitResult:
    if re.search(r"[\s\x00-\x1f]", value):
        raise ValueError("must be a URL without blanks")
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError(
            "must be a URL with a port of 0 to 65535 and a host, like http://127.0.0.1:8080"
        ) from None
    return parts
