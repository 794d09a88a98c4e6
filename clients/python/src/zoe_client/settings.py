"""How a client reaches its daemon."""

import os
from dataclasses import dataclass
from typing import Self, TypedDict

import grpc

from zoe_client import target as targets
from zoe_client.call import Defaults, Headers, positive_timeout
from zoe_client.encryption import credentials_of
from zoe_client.retry import OnWait
from zoe_client.values import expect, text


class ConnectionOptions(TypedDict, total=False):
    """Options of a client."""

    api_key: str | None
    """Key for the daemon. Default: `$ZOE_GRPCD_API_KEY`, else none."""
    timeout: float
    """Seconds for a call that states none. Default: 600."""
    max_retries: int
    """Repetitions of a call that the daemon asks to repeat later (RESOURCE_EXHAUSTED with RetryInfo); 0 repeats nothing,
    gRPC's own repetitions of UNAVAILABLE included. Default: 2."""
    on_wait: OnWait | None
    """Called before each repetition with the error, and the seconds until then. The client makes all of them then, those of
    UNAVAILABLE too, which else gRPC makes without a word. Default: None."""
    tls: bool
    """Whether a host is spoken to over TLS; the files below imply it. Unix sockets stay plain. Default: False."""
    ca_file: str | os.PathLike[str] | None
    """Authorities that the daemon's certificate may be signed by, PEM. Default: `$ZOE_GRPCD_CA_FILE`, else gRPC's."""
    cert_file: str | os.PathLike[str] | None
    """Certificate that this client shows, PEM. Default: `$ZOE_GRPCD_CERT_FILE`, else none."""
    key_file: str | os.PathLike[str] | None
    """Private key of `cert_file`, PEM. Default: `$ZOE_GRPCD_KEY_FILE`, else none."""
    credentials: grpc.ChannelCredentials | None
    """Credentials of another sort, for every target. Default: those that the options above describe."""
    admin_target: str | None
    """Where the admin service is. Default: its unix socket in `$XDG_RUNTIME_DIR`."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the services are, and what holds for every call. An empty `admin_target` means the usual place."""

    target: str
    admin_target: str
    credentials: grpc.ChannelCredentials | None
    tls: grpc.ChannelCredentials | None
    defaults: Defaults

    @classmethod
    def of(cls, target: str | None, options: ConnectionOptions) -> Self:
        """Returns the connection that a client's arguments and the environment describe.

        Raises:
            TypeError: An option is unknown or of the wrong type.
            ValueError: An option has a wrong value.
        """
        unknown = sorted(options.keys() - ConnectionOptions.__annotations__.keys())
        if unknown:
            raise TypeError(
                f"{unknown[0]}: unknown; known are {', '.join(ConnectionOptions.__annotations__)}"
            )
        retries = expect(options.get("max_retries", 2), int, "max_retries", "a whole number")
        return cls(
            target=targets.inference_target(target),
            admin_target=options.get("admin_target") or "",
            credentials=options.get("credentials"),
            tls=credentials_of(options),
            defaults=Defaults(
                headers=_authorization(options.get("api_key") or os.environ.get("ZOE_GRPCD_API_KEY", "")),
                timeout=positive_timeout(options.get("timeout", 600.0)),
                retries=retries,
                on_wait=options.get("on_wait"),
            ),
        )

    def credentials_for(self, target: str) -> grpc.ChannelCredentials | None:
        """Returns what a channel to this target is opened with; None is an insecure one."""
        plain = target.startswith(("unix:", "unix-abstract:"))
        return self.credentials or (None if plain else self.tls)


def _authorization(key: str) -> Headers:
    """Returns the header that carries the key. gRPC's own complaint about a bad header would quote the key."""
    if not text(key, "api_key").isascii() or not key.isprintable():
        raise ValueError("api_key: has characters that a header cannot carry")
    return (("authorization", f"Bearer {key}"),) if key else ()
