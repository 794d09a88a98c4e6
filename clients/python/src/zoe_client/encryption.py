"""TLS from files: which authorities a client trusts, and the certificate that it shows.

The rule: unix sockets stay plain, since nobody but their owner reaches them.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc

from zoe_client.values import expect

FILES = ("ca_file", "cert_file", "key_file")


def credentials_of(options: Mapping[str, Any]) -> grpc.ChannelCredentials | None:
    """Returns TLS credentials if an option or the environment (`$ZOE_GRPCD_CA_FILE` and so on) asks for TLS.

    Raises:
        TypeError: An option is of the wrong type.
        ValueError: A file cannot be read, or one of `cert_file` and `key_file` is missing.
    """
    tls = expect(options.get("tls", False), bool, "tls", "true or false")
    ca, cert, key = (_content(name, options.get(name)) for name in FILES)
    if (cert is None) != (key is None):
        missing, given = ("key_file", "cert_file") if key is None else ("cert_file", "key_file")
        raise ValueError(f"{missing}: needed with {given}")
    if not tls and ca is None and cert is None:
        return None
    return grpc.ssl_channel_credentials(ca, key, cert)


def _content(name: str, path: Any) -> bytes | None:
    chosen = path or os.environ.get(f"ZOE_GRPCD_{name.upper()}")
    if not chosen:
        return None
    try:
        return Path(expect(chosen, str | os.PathLike, name, "a path")).read_bytes()
    except OSError as error:
        raise ValueError(f"{name}: {chosen} can't be read: {error.strerror}") from None
