"""The whole configuration as one frozen value. The sections that need a page of their own are next door.

Rule: validation of a section knows that section alone; what spans several is in `crosscheck`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from zoe_grpcd import tls
from zoe_grpcd.config.backends import Backend, Model
from zoe_grpcd.config.keys import Auth
from zoe_grpcd.config.routing import Routing
from zoe_grpcd.config.section import OFF, Section, needed, option
from zoe_grpcd.config.values import (
    Address,
    Bytes,
    Count,
    FilePath,
    Flag,
    PositiveCount,
    PositiveSeconds,
    PromptsFile,
    Seconds,
    Share,
    StateUrl,
    StoreUrl,
    SwitchableAddress,
    Url,
)

_SOCKETS = "unix:$XDG_RUNTIME_DIR/zoe-grpcd"


class Tls(Section):
    """Files of a TLS server; a relative path starts at the folder of the configuration file."""

    cert_file: FilePath = needed("Certificate chain, PEM. Read anew when it changes, with the others.")
    key_file: FilePath = needed("Its private key, PEM, without a password. For its owner alone to read.")
    client_ca_file: FilePath | None = option(
        None, "Authorities that must have signed a client's certificate, PEM. Unset: clients need none."
    )

    @field_validator("cert_file")
    @classmethod
    def _is_certificate(cls, path: Path) -> Path:
        return _usable(tls.check_certificate, path)

    @field_validator("key_file")
    @classmethod
    def _is_its_key(cls, path: Path, info: ValidationInfo) -> Path:
        certificate = info.data.get("cert_file")  # there if it is one
        return _usable(tls.check_key, path, certificate) if certificate else path

    @field_validator("client_ca_file")
    @classmethod
    def _are_authorities(cls, path: Path | None) -> Path | None:
        return path and _usable(tls.check_authorities, path)


def _usable(check: Callable[..., None], path: Path, *besides: Path) -> Path:
    try:
        check(path, *besides)
    except tls.Unusable as error:
        raise ValueError(str(error)) from None
    return path


class Server(Section):
    """Where and how the daemon listens."""

    listen: Annotated[tuple[Address, ...], Field(min_length=1)] = option(
        ["127.0.0.1:50051", f"{_SOCKETS}/grpcd.sock"],
        "Addresses for inference: host:port or unix:/path. Port 0 takes a free one.",
    )
    admin_listen: SwitchableAddress = option(
        f"{_SOCKETS}/admin.sock", "Address for administration, or off. The socket is for its owner alone."
    )
    metrics_listen: SwitchableAddress = option(
        "127.0.0.1:9464",
        "Address for Prometheus and the status page, or off. The default one may be taken; another one must be free.",
    )
    tls: Tls | None = option(None, "TLS on the addresses with a port. Unset: none.")
    drain_timeout: Seconds = option(
        "30s", "Time for running requests to end after the daemon is told to stop."
    )
    max_concurrent_streams: PositiveCount = option(512, "Calls at the same time on one connection.")
    max_receive_bytes: Bytes = option("32MiB", "Largest request.")
    max_request_time: PositiveSeconds = option("600s", "Longest request, for callers that set no deadline.")
    reload_on_change: Flag = option(
        OFF, "Whether a change of this file is put in force by itself, as `zoe-grpcd reload` does."
    )


class Reliability(Section):
    """What happens when a backend fails."""

    max_attempts: PositiveCount = option(
        3, "Attempts for a request, but for those that bring a broken answer further."
    )
    retry_delay: Seconds = option("500ms", "Pause before the same backend is tried again.")
    error_threshold: PositiveCount = option(
        3,
        "Failures within error_window that send a backend, or one model on it, to cool down, if they are more than one in"
        " ten of its requests.",
    )
    error_window: PositiveSeconds = option("60s", "Time in which failures are counted.")
    cooldown: Seconds = option(
        "300s",
        "Time without requests for a backend that failed; doubled by each trial that fails, up to eight times it.",
    )
    degraded_weight: Share = option(
        0.5,
        "Factor on the score of a backend that had half of error_threshold, or does not answer its probes.",
    )
    rate_limit_cooldown: Seconds = option(
        "60s", "Time without requests for a model on a backend after a 429 that does not say how long."
    )
    first_token_least: PositiveSeconds = option(
        "30s",
        "The shortest time that a first token is waited for, where the backend has no first_token_timeout; a third of it"
        " where enough of them were timed. Beyond it, the time is sized by the load and the prompt.",
    )
    first_token_most: PositiveSeconds = option(
        "10m",
        "The longest time that a first token is waited for, where the backend has no first_token_timeout.",
    )
    hedge: Flag = option(
        OFF,
        "Whether a second backend is asked, too, when the first is slower with its first token than 95 of 100 times.",
    )
    hedge_share: Share = option(
        0.1,
        "Share of the recent requests that may be asked of a second backend, by hedge or by the caller's wish.",
    )


class Admission(Section):
    """How many requests may wait, and for how long."""

    max_queue: Count = option(256, "Requests that wait at most.")
    max_queue_time: Seconds = option("30s", "Time that one waits at most, if it does not say itself.")
    ageing: PositiveSeconds = option("10s", "Waiting time that makes up for one class of priority.")


class Cache(Section):
    """Answers that are kept."""

    url: StoreUrl | None = option(None, "memory:// or redis://host:port/db. Unset: nothing is kept.")
    ttl: PositiveSeconds = option("10m", "How long an answer is good.")
    max_bytes: Bytes = option("64MiB", "Size of a cache in memory.")


class State(Section):
    """What survives a restart: what was learned of backends and models, budgets, and the last decisions."""

    url: StateUrl | None = option(
        None,
        "sqlite:///path, or memory:// which keeps nothing. Unset: state.db in systemd's state folder, else in"
        " $XDG_STATE_HOME/zoe-grpcd. redis://host:port/db is not in effect yet.",
    )


class Log(Section):
    """The log. Prompts and keys are never in it; a file of its own may hold what was said."""

    level: Literal["debug", "info", "warning", "error"] = option("info", "What is logged at least.")
    format: Literal["auto", "json", "journal"] = option(
        "auto", "auto is journal under systemd, plain text on a terminal, else json."
    )
    prompts: PromptsFile = option(
        "never",
        "File that prompts and answers are written to, NAME.jsonl, absolute or below the state folder; or never.",
    )
    prompts_max_bytes: Bytes = option("128MiB", "Size of that file and the one before it (FILE.1) together.")
    decisions: FilePath | None = option(
        None, "File that every decision is recorded in, for replay; never with what was said. Unset: none."
    )
    decisions_max_bytes: Bytes = option(
        "128MiB", "Size of that file and the one before it (FILE.1) together."
    )


class Telemetry(Section):
    """Traces."""

    otlp_endpoint: Url | None = option(
        None,
        "Where traces go, by OTLP over HTTP; /v1/traces is added if it is not there. Needs the extra otel. Unset: nowhere.",
    )


class Images(Section):
    """Images in requests."""

    allow_http: Flag = option(
        OFF, "Whether http(s) image URLs are passed on to a backend. The daemon itself fetches none."
    )


class Config(Section):
    """All of it. Every section may be left out."""

    server: Server = option({}, "Where and how the daemon listens.")
    auth: Auth = option({}, "Who may call.")
    backends: tuple[Backend, ...] = option(
        (), "The servers, one entry a process. None: servers on this machine are looked for."
    )
    models: tuple[Model, ...] = option(
        (), "Names, facts and bundles, in addition to what backends turn out to serve."
    )
    routing: Routing = option({}, "How a request finds its model and its backend.")
    reliability: Reliability = option({}, "What happens when a backend fails.")
    admission: Admission = option({}, "How many requests may wait.")
    cache: Cache = option({}, "Answers that are kept.")
    state: State = option({}, "What survives a restart.")
    log: Log = option({}, "The log.")
    telemetry: Telemetry = option({}, "Traces.")
    images: Images = option({}, "Images in requests.")
    drop_params: Flag = option(
        OFF,
        "Whether a field that a backend cannot honour is dropped; false refuses the request and names it.",
    )
