"""Backends that are not asked for their models: it would cost money, or somebody else's answer.

The one rule: their models are those that the operator names.
"""

from collections.abc import Iterable
from dataclasses import replace

from zoe_grpcd.core.observation import ModelStatus, Observation
from zoe_grpcd.ports import Probe


class PassiveProbe:
    """Takes the backend for well and its configured models, by the server's names, for loaded.

    A cloud's health shows in use alone, and asking it for more would cost money.
    """

    def __init__(self, models: Iterable[str]) -> None:
        self._seen = Observation(
            ok=True,
            models=tuple(ModelStatus(name) for name in dict.fromkeys(models)),
            detail="not probed: its health shows in use alone",
        )

    async def __call__(self) -> Observation:
        """The same each time."""
        return self._seen


class NamedProbe:
    """Another probe, and the names of the models, for a server that must not be asked for them."""

    def __init__(self, probe: Probe, models: Iterable[str]) -> None:
        self._probe = probe
        names = tuple(dict.fromkeys(models))
        self._models = tuple(ModelStatus(name, sole=len(names) == 1) for name in names)

    async def __call__(self) -> Observation:
        """See `Probe`."""
        seen = await self._probe()
        return replace(seen, models=self._models) if seen.ok else seen
