"""Names that the configuration sends requests to, while servers that have such models come and go."""

import logging
import re

import pytest
from fakes import World, a_backend, a_status, seen

from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.intents import configured
from zoe_grpcd.core.naming import Pattern
from zoe_grpcd.core.policy import Policy
from zoe_grpcd.vacancies import Vacancies, vacant

INTENTS = configured({"code": {"model": "coder"}})
POLICY = Policy(aliases={"fast": ("tiny", "small"), "best": ("fast",)}, default_model="best")


@pytest.mark.parametrize(
    ("served", "expected"),
    [
        ((), ["default_model", "aliases.fast", "aliases.best", "intents.code.model"]),
        (("coder",), ["default_model", "aliases.fast", "aliases.best"]),
        (("small", "coder:latest"), []),
    ],
)
def test_a_name_is_vacant_if_none_of_those_it_stands_for_is_served(
    served: tuple[str, ...], expected: list[str]
) -> None:
    found = vacant(POLICY, INTENTS, dict.fromkeys(served))
    assert [option for option, _ in found] == [f"routing.{name}" for name in expected]


def test_a_name_that_a_pattern_knows_is_not_vacant() -> None:
    pattern = Pattern(re.compile("gpt-.*"), kinds=frozenset({"openai"}))
    aliases = {"big": ("gpt-5",), "small": ("tiny",)}
    policy = Policy(aliases=aliases, patterns=(pattern,), default_model="gpt-5")
    intents = configured({"code": {"model": "gpt-5"}, "chat": {"model": "coder"}})
    expected = [("routing.aliases.small", "tiny"), ("routing.intents.chat.model", "coder")]
    assert list(vacant(policy, intents, {})) == expected


def test_nothing_is_vacant_where_nothing_is_named() -> None:
    assert list(vacant(Policy(), configured({}), {})) == []


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record.message for record in caplog.records]
    caplog.clear()
    return found


def test_it_is_told_once_and_when_somebody_comes_and_goes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world = World()
    world.add("a", seen_as=seen("m"))
    vacancies = Vacancies(world.fleet, Policy(default_model="big"), ())
    assert (told(caplog), list(vacancies.in_words())) == ([], [])
    vacancies.begin()
    assert told(caplog) == ["nobody serves routing.default_model (big)"]
    assert list(vacancies.in_words()) == ["nobody serves routing.default_model"]
    world.observe("a", seen("m", "n"))
    assert told(caplog) == []
    world.observe("a", seen("m", "big"))
    assert told(caplog) == ["somebody serves routing.default_model"]
    assert list(vacancies.in_words()) == []
    world.observe("a", seen("m"))
    assert told(caplog) == ["nobody serves routing.default_model (big)"]


def test_those_of_whom_nothing_is_known_yet_are_named(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.fleet.add(a_backend("a"), world.clock())
    Vacancies(world.fleet, Policy(default_model="big"), ()).begin()
    assert told(caplog) == ["nobody serves routing.default_model (big); what is served by a is not known yet"]


def test_a_configured_model_that_its_server_does_not_have_is_served_by_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(deployments=[Deployment("big", "a", "big.gguf")])
    world.add("a", seen_as=seen(a_status("m")))
    Vacancies(world.fleet, Policy(default_model="big"), ()).begin()
    assert told(caplog) == ["nobody serves routing.default_model (big)"]


def test_another_configuration_is_looked_at_at_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.add("a")
    vacancies = Vacancies(world.fleet, Policy(), ())
    vacancies.begin()
    vacancies.change(Policy(aliases={"fast": ("tiny",)}), ())
    assert told(caplog) == ["nobody serves routing.aliases.fast (tiny)"]
