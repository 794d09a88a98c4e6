"""A recorded picture of the fleet as it would have been with other settings.

Rule: what the settings state holds, and what they leave open is as it was recorded, even if other settings had stated it.
Where nothing was seen of a model or a backend, nothing is made up: it is not there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from zoe_grpcd.core.backend import Backend, Deployment, ModelFacts
from zoe_grpcd.core.key import Key
from zoe_grpcd.core.views import BackendView, DeploymentView, Snapshot
from zoe_grpcd.recording.lines import auto_of
from zoe_grpcd.settings import Settings

NO_FACTS = ModelFacts()


class Overlay:
    """The settings, to be laid over pictures. `configured`: (backend, model) that the recorded settings had named.

    `unseen` collects what these settings name and the recording does not know; a model "" stands for the backend.
    """

    def __init__(self, settings: Settings, configured: frozenset[Key], unseen: set[Key]) -> None:
        self._backends = {backend.name: backend for backend in settings.backends}
        self._deployments: dict[str, list[Deployment]] = {}
        for deployment in settings.deployments:
            self._deployments.setdefault(deployment.backend, []).append(deployment)
        self._facts = settings.facts
        self._configured = configured
        self._unseen = unseen

    def over(self, snapshot: Snapshot) -> Snapshot:
        """The picture with these settings."""
        backends = {name: self._backend(view) for name, view in snapshot.backends.items() if self._has(name)}
        by_backend: dict[str, list[DeploymentView]] = {name: [] for name in backends}
        for view in (view for views in snapshot.by_model.values() for view in views):
            by_backend.get(view.deployment.backend, []).append(view)
        self._unseen |= {(name, "") for name in self._backends.keys() - backends.keys()}
        by_model: dict[str, tuple[DeploymentView, ...]] = {}
        for name, views in by_backend.items():
            for view in self._views(backends[name].backend, views):
                model = view.deployment.model
                by_model[model] = (*by_model.get(model, ()), view)
        return replace(snapshot, backends=backends, by_model=by_model, auto=auto_of(by_model))

    def _has(self, name: str) -> bool:
        """Settings without backends look for them, and would have found these."""
        return not self._backends or name in self._backends

    def _backend(self, view: BackendView) -> BackendView:
        stated = self._backends.get(view.backend.name)
        return view if stated is None else replace(view, backend=_restated(view.backend, stated))

    def _views(self, backend: Backend, views: Sequence[DeploymentView]) -> Iterator[DeploymentView]:
        """The deployments that the settings name, then those that the server tells of by itself."""
        stated = self._deployments.get(backend.name, [])
        for deployment in stated:
            source = _source(deployment, views)
            if source is None:
                self._unseen.add((backend.name, deployment.model))
            else:
                yield self._stated(replace(source, deployment=deployment), backend)
        names = {deployment.model for deployment in stated}
        taken = [deployment.backend_model for deployment in stated]
        for deployment, view in self._found(backend.name, views, names):
            own = (deployment.backend_model, deployment.model)
            auto = not any(_same(name, other) for name in own for other in taken)
            yield self._stated(replace(view, deployment=replace(deployment, auto=auto)), backend)

    def _found(
        self, backend: str, views: Sequence[DeploymentView], names: set[str]
    ) -> Iterator[tuple[Deployment, DeploymentView]]:
        """What the server tells of by itself, under other names than these, and what only its name of then hid."""
        free = [view for view in views if view.deployment.model not in names]
        found = [v for v in free if (backend, v.deployment.model) not in self._configured]
        known = {name for v in found for name in (v.deployment.model, v.deployment.backend_model)}
        for view in found:
            yield view.deployment, view
        for view in free:
            model = view.deployment.backend_model
            if view.served and model not in known | names:
                known.add(model)
                yield Deployment(model, backend, model), view

    def _stated(self, view: DeploymentView, backend: Backend) -> DeploymentView:
        """The view with what the settings state about its model."""
        deployment = view.deployment
        facts, changed = self._facts.get(deployment.model, NO_FACTS), dict[str, Any]()
        bundle = deployment.backend_options.get("num_ctx")
        window = bundle if isinstance(bundle, int) and backend.truncates else facts.context_tokens
        price = deployment.price or facts.price
        if window:
            changed["context_tokens"] = window
        if facts.capabilities:
            changed["capabilities"] = view.capabilities | facts.capabilities
        if facts.parameters:
            changed["parameters"] = facts.parameters
        if facts.quality:
            changed["quality"] = facts.quality
        if price:
            changed["input_usd_per_token"] = price.input / 1e6
            changed["output_usd_per_token"] = price.output / 1e6
        return replace(view, **changed)


def _restated(recorded: Backend, stated: Backend) -> Backend:
    """What the operator says of a backend, on top of what its kind means."""
    return replace(
        recorded,
        local=stated.local,
        weight=stated.weight,
        max_in_flight=stated.max_in_flight,
        labels=stated.labels,
    )


def _source(deployment: Deployment, views: Sequence[DeploymentView]) -> DeploymentView | None:
    """What was recorded of what a deployment stands for: under its own name, else under another one."""
    same = [view for view in views if _same(view.deployment.backend_model, deployment.backend_model)]
    return next(
        (view for view in same if view.deployment.model == deployment.model), same[0] if same else None
    )


def _same(served: str, name: str) -> bool:
    """The server's name for a model, where Ollama's ":latest" may be left out."""
    return served in (name, f"{name}:latest") or name == f"{served}:latest"
