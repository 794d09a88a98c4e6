"""Which deployments are meant: by what they are (`Selection`), and step by step (`Tier`).

What is empty, or None, excludes nothing.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.chains import Condition
from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.sizes import Bounds
from zoe_grpcd.core.views import DeploymentView


@dataclass(frozen=True, slots=True)
class Selection:
    """Deployments by what they are: all that is given has to hold.

    `named`: whether a name is meant, asked with the model's public name and with the backend's own. `sizes`: of a size in
    these bounds; one of unknown size is taken for large. `permits`: whether a public name is allowed.
    """

    backends: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()  # public names
    labels: Mapping[str, str] = field(default_factory=dict)
    local: bool | None = None
    named: Callable[[str], object] | None = None
    sizes: Bounds | None = None
    permits: Callable[[str], bool] | None = None

    def has(self, backend: Backend) -> bool:
        """The backend is meant, whatever its models."""
        return (
            (not self.backends or backend.name in self.backends)
            and (not self.kinds or backend.kind in self.kinds)
            and (self.local is None or backend.local is self.local)
            and all(backend.labels.get(key) == value for key, value in self.labels.items())
        )

    def holds(self, view: DeploymentView, backend: Backend) -> bool:
        """The deployment is meant."""
        deployment = view.deployment
        if self.models and deployment.model not in self.models:
            return False
        if self.permits and not self.permits(deployment.model):
            return False
        if self.named and not (self.named(deployment.model) or self.named(deployment.backend_model)):
            return False
        if self.sizes and (math.inf if view.parameters is None else view.parameters) not in self.sizes:
            return False
        return self.has(backend)


class Tier(NamedTuple):
    """One step of a request's way: the deployments that it may get next, if nobody of the steps before may serve.

    `models`: their public names; None: every deployment that auto may get. `only`: those of them that are meant.
    `alone`: those whose backend has a single model, under whatever names. `when`: the step is passed over unless this holds. `reason` None,
    `why` empty: those of the resolution.
    """

    models: frozenset[str] | None = None
    only: Selection | None = None
    alone: bool = False
    when: Condition | None = None
    reason: Reason | None = None
    why: str = ""


ANY = Tier()
