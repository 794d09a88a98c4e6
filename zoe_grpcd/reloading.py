"""The configuration in force, and how another one takes its place.

Rule: it is built and checked whole before anything changes. A wrong one changes nothing, and says all that is wrong.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext

from zoe_grpcd.config import Config, ConfigError, Loaded, Source, dump
from zoe_grpcd.config.changes import at_start, changes, without_restart
from zoe_grpcd.core.errors import InvalidRequest, Violation
from zoe_grpcd.ports import InForce, Reloaded
from zoe_grpcd.settings import Settings, settings_of

log = logging.getLogger(__name__)

# How often the file is looked at, where that is switched on (seconds).
LOOK = 1.0

Apply = Callable[[Config, Settings], Awaitable[None]]
"""Puts another configuration in force; until its last await it changes nothing."""


class Reloading:
    """See `Configuration`. `told`: surrounds each reload, for whoever waits for its end."""

    def __init__(
        self,
        source: Source,
        loaded: Loaded,
        apply: Apply,
        told: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._source = source
        self._loaded = loaded
        self._config = loaded.config
        self._apply = apply
        self._told = told
        self._generation = 1
        self._since = time.time()
        self._one_at_a_time = asyncio.Lock()

    def in_force(self) -> InForce:
        """See `Configuration`."""
        loaded = self._loaded
        path = "" if loaded.source is None else str(loaded.source)
        return InForce(dump(self._config), path, loaded.sha256, self._generation, self._since)

    async def reload(self, *, validate_only: bool = False) -> Reloaded:
        """See `Configuration`."""
        async with self._one_at_a_time:
            if validate_only:
                loaded, _ = await self._read()
                return self._outcome(loaded)
            with self._told():
                return await self._reload()

    async def quietly(self) -> None:
        """Reloads; nobody waits for the outcome, which is in the log."""
        try:
            await self.reload()
        except InvalidRequest:
            pass  # was logged
        except Exception:
            log.exception("a bug in reloading")

    async def watch(self) -> None:
        """Reloads when the file has changed, while `server.reload_on_change` says so; goes on for ever."""
        known = seen = self._signature()
        while True:
            await asyncio.sleep(LOOK)
            now = self._signature()
            if self._config.server.reload_on_change and now != known and now == seen:
                known = now  # it is written to the end
                log.info("the configuration file has changed")
                await self.quietly()
            seen = now

    def _signature(self) -> object:
        return self._source.signature(self._config.auth.keys_file)

    async def _reload(self) -> Reloaded:
        try:
            loaded, settings = await self._read()
        except InvalidRequest as error:
            log.warning("the configuration was not reloaded: %s", error.message)
            for violation in error.violations:
                log.warning("%s", ": ".join(filter(None, (violation.field, violation.description))))
            raise
        outcome, config = self._outcome(loaded), without_restart(self._config, loaded.config)
        if config != self._config:
            await self._apply(config, settings)
            self._generation, self._since = self._generation + 1, time.time()
        self._config, self._loaded = config, loaded
        outcome.generation = self._generation
        _tell(outcome)
        return outcome

    async def _read(self) -> tuple[Loaded, Settings]:
        """What the file has now, checked whole, beside the event loop. Raises InvalidRequest."""
        try:
            return await asyncio.to_thread(self._read_whole)
        except ConfigError as error:
            count = len(error.problems)
            raise InvalidRequest(
                f"{count} {'mistake' if count == 1 else 'mistakes'} in it; the one in force stays",
                violations=tuple(
                    Violation(p.path, f"{p.message} ({p.file}{f':{p.line}' if p.line else ''})")
                    for p in error.problems
                ),
            ) from None

    def _read_whole(self) -> tuple[Loaded, Settings]:
        loaded = self._source.read()
        config = without_restart(self._config, loaded.config)
        return loaded, settings_of(config, self._generation + 1)

    def _outcome(self, loaded: Loaded) -> Reloaded:
        return Reloaded(
            self._generation,
            changes(self._config, loaded.config),
            [str(warning) for warning in loaded.warnings],
            at_start(self._config, loaded.config),
        )


def _tell(outcome: Reloaded) -> None:
    log.info("configuration %d is in force: %s", outcome.generation, "; ".join(outcome.changes) or "the same")
    for warning in outcome.warnings:
        log.warning("%s", warning)
    if outcome.restart_required:
        log.warning("these take effect at the next start: %s", ", ".join(outcome.restart_required))
