"""What systemd is told: sd_notify, ten lines, since the libraries for it want headers or are unmaintained."""

import os
import socket
from collections.abc import Mapping


def notify(*lines: str, env: Mapping[str, str] = os.environ) -> bool:
    """Sends lines such as READY=1 to $NOTIFY_SOCKET; False where nobody listens. Never raises, never blocks."""
    address = env.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
        to.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        try:
            to.sendto("\n".join(lines).encode(), address.replace("@", "\0", 1))
        except OSError:
            return False
    return True
