"""The composition root: what is built on what ends before it."""

from contextlib import AsyncExitStack

from zoe_grpcd.config import Config
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.monitor import Monitor
from zoe_grpcd.roster import Roster
from zoe_grpcd.settings import settings_of


async def test_probes_end_before_the_session_that_they_use() -> None:
    class Recording(Monitor):
        async def close(self) -> None:
            closed.append(roster._session.closed)
            await super().close()

    closed: list[bool] = []
    config = Config.model_validate(
        {"backends": [{"name": "a", "kind": "openai", "url": "http://127.0.0.1:9"}]}
    )
    fleet = Fleet()
    async with AsyncExitStack() as resources:
        roster = Roster(settings_of(config), fleet, Recording(fleet, lambda: 0.0), resources)
        await roster.open()
        assert fleet.names() == ["a"]
    assert closed == [False]


async def test_a_service_of_one_model_serves_it_unless_models_names_others_there() -> None:
    def service(name: str, model: str) -> dict[str, object]:
        return {"name": name, "kind": "litellm", "litellm_params": {"model": model}}

    backends = [service("groq", "groq/llama-3.1-8b-instant"), service("gemini", "gemini/gemini-2.5-flash")]
    named = {"name": "quick", "deployments": [{"backend": "gemini", "model": "flash"}]}
    config = Config.model_validate({"backends": backends, "models": [named]})
    async with AsyncExitStack() as resources:
        roster = Roster(settings_of(Config()), Fleet(), Monitor(Fleet(), lambda: 0.0), resources)
        await roster.open()
        found = await roster.look_ahead(settings_of(config), 60.0)
    served = {name: seen.seen and [m.name for m in seen.seen.models or ()] for name, seen in found.items()}
    assert served == {"groq": ["llama-3.1-8b-instant"], "gemini": ["flash"]}
