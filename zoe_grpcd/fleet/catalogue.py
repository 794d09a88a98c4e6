"""The models on the backends: which there are, and what is known of one.

Rule: what an operator states of a model goes before what its server tells.
"""

from collections.abc import Mapping, Sequence

from zoe_grpcd.core.backend import Deployment, ModelFacts, Prefill
from zoe_grpcd.core.learning import Timed
from zoe_grpcd.core.observation import Observation
from zoe_grpcd.fleet.found import found_on
from zoe_grpcd.fleet.host import Host
from zoe_grpcd.fleet.memory import Memory
from zoe_grpcd.fleet.picture import Picture
from zoe_grpcd.fleet.served import Served, load_fraction

NO_FACTS = ModelFacts()


class Catalogue:
    """Of one fleet. `facts` and `deployments` are what the operator states."""

    def __init__(
        self,
        hosts: Mapping[str, Host],
        memory: Memory,
        picture: Picture,
    ) -> None:
        self._hosts = hosts
        self._memory = memory
        self._picture = picture
        self._models: dict[str, None] | None = None
        self._silent: list[str] | None = None
        self.facts: Mapping[str, ModelFacts] = {}
        self.deployments: Sequence[Deployment] = ()

    def configured(self, backend: str) -> tuple[Deployment, ...]:
        """The deployments that the operator gave a backend."""
        return tuple(d for d in self.deployments if d.backend == backend)

    def is_as_stated(self, host: Host) -> bool:
        """A backend's models have the settings and the facts of now."""
        served = host.served
        facts = {model: self.facts.get(model, NO_FACTS) for model in served}
        same = all(served[model].facts == facts[model] for model in facts)
        return same and self.configured(host.backend.name) == host.configured

    def serve(self, host: Host) -> None:
        """Begins to keep account of what is configured on a backend, with all that is known of it."""
        host.served = {d.model: self._serve(d) for d in host.configured}
        self.forget()

    def serve_anew(self, host: Host, now: float) -> None:
        """Its models with other facts or settings."""
        self._memory.keep(host, now)
        former, host.configured = host.served, self.configured(host.backend.name)
        self.serve(host)
        if host.observation is not None:
            self.take(host, host.observation, now)
        for model in host.served.keys() & former.keys():
            host.served[model].succeed(former[model])
        host.rescale()

    def take(self, host: Host, observation: Observation, now: float) -> None:
        """Takes in the models that a probe has found."""
        if observation.models is not None:
            host.served = found_on(host, observation, self._serve, now)
            host.see_residents()
            self.forget()

    def forget(self) -> None:
        """Models have come or gone."""
        self._models = self._silent = self._picture.gallery = None

    def _serve(self, deployment: Deployment) -> Served:
        served = Served(deployment, self.facts.get(deployment.model, NO_FACTS))
        self._memory.tell_served(served)
        return served

    # ------------------------------------------------------------------------------------------------ questions

    def models(self) -> Mapping[str, None]:
        """The public names of all models, as keys. They last, while each request makes a snapshot out of date."""
        if self._models is None:
            self._models = {model: None for host in self._hosts.values() for model in host.served}
        return self._models

    def served(self) -> Mapping[str, None]:
        """Those of them that somebody really has, as far as is known: a configured one may be on no server."""
        return {
            m: None for host in self._hosts.values() for m, served in host.served.items() if served.served
        }

    def silent(self) -> Sequence[str]:
        """The backends that have never told what they serve, sorted; they last as `models` does."""
        if self._silent is None:
            told = {
                n
                for n, host in self._hosts.items()
                if host.observation and host.observation.models is not None
            }
            self._silent = sorted(self._hosts.keys() - told)
        return self._silent

    def prefill(self, deployment: Deployment) -> Prefill | None:
        """How a deployment takes the beginning of an answer; None: not known."""
        host, served = self._hosts.get(deployment.backend), self._of(deployment)
        return None if host is None else (served and served.prefill) or host.backend.prefill

    def note_prefill(self, deployment: Deployment, prefill: Prefill) -> None:
        """What was seen of how a deployment takes the beginning of an answer."""
        served = self._of(deployment)
        if served is not None and served.deployment == deployment:
            served.prefill, served.view, self._picture.current = prefill, None, None

    def load_fraction(self, deployment: Deployment, now: float) -> float:
        """How much of the load of a model is done, 0..1, as its server tells or by how long it usually takes."""
        served = self._of(deployment)
        return 0.0 if served is None else load_fraction(served, now)

    def timed(self, deployment: Deployment, now: float) -> Timed:
        """How long its loads and first tokens take at most, but for one in twenty."""
        served = self._of(deployment)
        return served.learned.timed(now) if served is not None else Timed()

    def _of(self, deployment: Deployment) -> Served | None:
        """What is known of one; None: it is gone, be it with its backend."""
        host = self._hosts.get(deployment.backend)
        return None if host is None else host.served.get(deployment.model)
