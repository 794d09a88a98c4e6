"""Where the daemon is: an argument, the environment, or the usual places, in that order."""

import os
from pathlib import Path

DEFAULT_TARGET = "127.0.0.1:50051"


def inference_target(target: str | None = None) -> str:
    """Returns the target of the inference service.

    Args:
        target: A gRPC target such as `unix:/run/x.sock`, `host:port` or `dns:///name:port`. None: `$ZOE_GRPCD_TARGET`,
            else the unix socket in the runtime directory if there is one, else `127.0.0.1:50051`.

    Raises:
        ValueError: It is the address of a page.
    """
    if chosen := target or os.environ.get("ZOE_GRPCD_TARGET"):
        return _checked(chosen)
    socket = _runtime_socket("grpcd.sock")
    return f"unix:{socket}" if socket.exists() else DEFAULT_TARGET


def admin_target(target: str | None = None) -> str:
    """Returns the target of the admin service: the argument, else its unix socket in the runtime directory.

    Raises:
        ValueError: It is the address of a page.
    """
    return _checked(target) if target else f"unix:{_runtime_socket('admin.sock')}"


def is_local(target: str) -> bool:
    """Whether the target is one server on this machine."""
    return target.startswith(("unix:", "unix-abstract:", "localhost:", "127.", "[::1]:", "vsock:"))


def _checked(target: str) -> str:
    """The target, unless gRPC would look for a host named like a page."""
    scheme, slashes, rest = target.partition("://")
    if slashes and scheme.lower() in ("http", "https"):
        tls = ", with TLS asked for apart" if scheme.lower() == "https" else ""
        raise ValueError(f"target: {target!r} has to be without its {scheme}://: {rest.rstrip('/')}{tls}")
    return target


def _runtime_socket(name: str) -> Path:
    """A socket in the daemon's folder: in $XDG_RUNTIME_DIR, else in /run/user/UID, else in $HOME/.cache."""
    user = Path(f"/run/user/{os.getuid()}")
    usual = user if user.is_dir() else Path.home() / ".cache"
    return Path(os.environ.get("XDG_RUNTIME_DIR") or usual) / "zoe-grpcd" / name
