"""What the fleet has learned, as plain values that outlive it: dumped while it works, told where the same is met again.

Rule: what was learned of a server, or of a model on it, is told to the same server and the same model file alone. Values
come from a file that anything may have happened to: what is none of ours is passed over.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Protocol

from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.learning import Learned, Spread
from zoe_grpcd.core.speed import Speed
from zoe_grpcd.core.usage import DecayedMean
from zoe_grpcd.fleet.host import Host
from zoe_grpcd.fleet.served import Served

BACKEND, MODEL, FLEET = "backend", "model", "fleet"
KINDS = (BACKEND, MODEL, FLEET)
USUAL = "usual"
# Of a deployment; an answer's length, and how far it is from what was expected, are a matter of the model.
_OF_DEPLOYMENT = (
    "load",
    "loads",
    "prefill",
    "token",
    "overhead",
    "bytes_per_token",
    "image_tokens",
    "success",
    "ttft",
    "response",
)
_OF_MODEL = ("output_tokens", "spread")
_COUNTS = ("at_once", "most_models", "most_bytes")

Values = Mapping[str, Any]


class _Measure(Protocol):
    def dump(self, now: float, /) -> Any: ...
    def restore(self, values: object, now: float, /) -> None: ...


class Memory:
    """Of one fleet. `hosts` are the fleet's own. Times are those of its clock."""

    def __init__(self, hosts: Mapping[str, Host]) -> None:
        self._hosts = hosts
        self._told: dict[tuple[str, str], tuple[object, float]] = {}
        # An answer's length is a matter of the model, whoever runs it; a mean for each backend would compare their luck.
        self._shared: dict[str, tuple[DecayedMean, Spread]] = {}
        self.usual = Speed()  # of all backends
        self.changed: set[str] = set()  # backends that have learned something since the last dump

    def dump(self, now: float) -> Iterator[tuple[str, str, Values]]:
        """Kind, key and values of all that was learned since the last time."""
        changed, self.changed = self.changed, set()
        hosts = [self._hosts[name] for name in sorted(changed & self._hosts.keys())]
        for host in hosts:
            yield BACKEND, host.backend.name, _of_host(host, now)
        learned = {model: served.learned for host in hosts for model, served in host.served.items()}
        for model in sorted(learned):
            yield MODEL, model, _dumped(_measures(learned[model], _OF_MODEL), now)
        if changed:
            yield FLEET, USUAL, _dumped(self.usual.measures, now)

    def restore(self, kind: str, key: str, values: object, at: float) -> None:
        """Takes what `dump` gave as of `at`, for what is met from now on."""
        if kind == FLEET:
            _restore(self.usual.measures, values, at)
        else:
            self._told[kind, key] = values, at

    def keep(self, host: Host, now: float) -> None:
        """A backend leaves: it may come back, with other settings perhaps."""
        self._told[BACKEND, host.backend.name] = _of_host(host, now), now

    def tell_host(self, host: Host) -> None:
        """What is known of a backend that is taken in."""
        key = BACKEND, host.backend.name
        values, at = self._told.get(key, (None, 0.0))
        if not isinstance(values, Mapping) or values.get("of") != _identity(host.backend):
            self._told.pop(key, None)
            return
        _restore({**host.speed.measures, **_of_server(host)}, values, at)
        for name in _COUNTS:
            if isinstance(count := values.get(name), int):
                setattr(host, name, max(getattr(host, name), count))

    def tell_served(self, served: Served) -> None:
        """What is known of a model that is found on a backend, after the backend itself was told."""
        deployment, learned = served.deployment, served.learned
        values, at = self._told.get((BACKEND, deployment.backend), (None, 0.0))
        models = values.get("models") if isinstance(values, Mapping) else None
        mine = models.get(deployment.model) if isinstance(models, Mapping) else None
        if isinstance(mine, Mapping) and mine.get("of") == deployment.backend_model:
            _restore({**_measures(learned, _OF_DEPLOYMENT), "asked": served.asked}, mine, at)
        if deployment.model not in self._shared:
            _restore(_measures(learned, _OF_MODEL), *self._told.get((MODEL, deployment.model), (None, 0.0)))
            self._shared[deployment.model] = learned.output_tokens, learned.spread
        learned.output_tokens, learned.spread = self._shared[deployment.model]


def _of_host(host: Host, now: float) -> Values:
    models = {
        model: {
            "of": served.deployment.backend_model,
            **_dumped({**_measures(served.learned, _OF_DEPLOYMENT), "asked": served.asked}, now),
        }
        for model, served in host.served.items()
    }
    return {
        "of": _identity(host.backend),
        **_dumped({**host.speed.measures, **_of_server(host)}, now),
        **{name: getattr(host, name) for name in _COUNTS},
        "models": models,
    }


def _identity(backend: Backend) -> list[str]:
    return [backend.kind, backend.url]


def _of_server(host: Host) -> dict[str, _Measure]:
    return {"service": host.service, "contention": host.contention}


def _measures(learned: Learned, names: tuple[str, ...]) -> dict[str, _Measure]:
    return {name: getattr(learned, name) for name in names}


def _dumped(measures: Mapping[str, _Measure], now: float) -> Values:
    return {name: measure.dump(now) for name, measure in measures.items()}


def _restore(measures: Mapping[str, _Measure], values: object, at: float) -> None:
    if isinstance(values, Mapping):
        for name, measure in measures.items():
            with suppress(ValueError):
                measure.restore(values.get(name), at)
