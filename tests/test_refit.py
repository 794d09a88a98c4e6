"""Other settings for a fleet that works: what stays, what goes, and when."""

from dataclasses import replace

import pytest

from zoe_grpcd.core.answer import Usage
from zoe_grpcd.core.backend import Backend, Deployment, ModelFacts, Phase
from zoe_grpcd.core.breaker import Caution
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.learning import Lesson
from zoe_grpcd.core.observation import ModelStatus, Observation
from zoe_grpcd.core.phases import Signal
from zoe_grpcd.core.views import DeploymentView
from zoe_grpcd.fleet import Fleet, Lease

DESK = Backend("desk", "llamacpp", "http://desk:8080", local=True)
SMALL = Deployment("small", "desk", "small.gguf", auto=True)
SEEN = Observation(ok=True, models=(ModelStatus("small.gguf", alias="small"),))


@pytest.fixture
def fleet() -> Fleet:
    """It has learned how fast the desk is."""
    fleet = Fleet()
    fleet.add(DESK, 0.0)
    fleet.health.observe("desk", SEEN, 0.0)
    for at in range(0, 100, 10):
        lease = begun(fleet, at)
        fleet.leases.release(lease, Lesson(False, 5.5, 0.5, 101, whole=True, usage=Usage(50, 101)), at + 5.5)
    fleet.health.observe("desk", SEEN, 100.0)
    return fleet


def begun(fleet: Fleet, at: float) -> Lease:
    lease = fleet.leases.take(SMALL, at)
    fleet.leases.first_token(lease, at + 0.5)
    return lease


def view(fleet: Fleet, at: float = 100.0, model: str = "small") -> DeploymentView:
    (found,) = fleet.picture.snapshot(at).by_model[model]
    return found


def refit(fleet: Fleet, *deployments: Deployment, **facts: ModelFacts) -> None:
    fleet.refit(facts, deployments, Caution(), 100.0)


def test_the_same_settings_change_nothing(fleet: Fleet) -> None:
    before = view(fleet)
    refit(fleet)
    assert view(fleet) == before
    assert fleet.health.phase("desk") is Phase.READY


def test_facts_and_settings_are_other_ones_and_what_was_learned_stays(fleet: Fleet) -> None:
    learned = view(fleet).seconds_per_token
    refit(fleet, Deployment("small", "desk", "small.gguf", weight=0.5), small=ModelFacts(4096))
    assert view(fleet).deployment.weight == 0.5
    assert view(fleet).context_tokens == 4096
    assert view(fleet).seconds_per_token == pytest.approx(learned, rel=0.01)
    fleet.change(replace(DESK, weight=0.25), 100.0)
    assert fleet.backend("desk").weight == 0.25
    assert view(fleet).seconds_per_token == pytest.approx(learned, rel=0.01)
    assert fleet.health.phase("desk") is Phase.READY


def test_a_model_can_have_a_second_name(fleet: Fleet) -> None:
    refit(fleet, Deployment("tiny", "desk", "small.gguf"))
    assert list(fleet.catalogue.models()) == ["tiny", "small"]
    assert view(fleet, model="tiny").served


def test_what_runs_is_counted_through_a_change_of_settings(fleet: Fleet) -> None:
    lease = begun(fleet, 100.0)
    refit(fleet, Deployment("small", "desk", "small.gguf", weight=0.5))
    fleet.change(replace(DESK, max_in_flight=1), 100.0)
    assert fleet.leases.in_flight("desk") == 1
    assert not fleet.leases.has_room(("desk", "small"))
    fleet.leases.release(lease, None, 101.0)
    assert fleet.leases.in_flight("desk") == 0
    assert fleet.leases.has_room(("desk", "small"))


def test_who_is_no_longer_configured_is_gone_when_its_last_request_has_ended(fleet: Fleet) -> None:
    told: list[str] = []
    lease = begun(fleet, 100.0)
    fleet.retire("desk", 100.0)
    assert fleet.health.phase("desk") is Phase.DRAINING
    assert "no longer configured" in fleet.report("desk", 100.0).detail
    fleet.health.signal("desk", Signal.UNDRAIN, "by the operator", 100.0)
    fleet.health.observe("desk", SEEN, 100.0)
    assert fleet.health.phase("desk") is Phase.DRAINING
    fleet.picture.subscribe(told.append)
    fleet.leases.release(lease, Lesson(False, 5.5, 0.5, 101, whole=True, usage=Usage(50, 101)), 101.0)
    assert fleet.names() == []
    assert told == ["desk"]
    assert list(fleet.catalogue.models()) == []
    assert not fleet.picture.snapshot(101.0).backends


def test_an_idle_one_is_gone_at_once(fleet: Fleet) -> None:
    fleet.retire("desk", 100.0)
    assert fleet.names() == []


def test_who_comes_back_before_it_is_gone_goes_on(fleet: Fleet) -> None:
    lease, learned = begun(fleet, 100.0), view(fleet).seconds_per_token
    fleet.retire("desk", 100.0)
    fleet.change(DESK, 101.0)
    fleet.health.observe("desk", SEEN, 101.0)
    assert fleet.health.phase("desk") is Phase.READY
    assert fleet.leases.in_flight("desk") == 1
    fleet.leases.release(lease, None, 102.0)
    assert fleet.names() == ["desk"]
    assert view(fleet, 102.0).seconds_per_token == pytest.approx(learned, rel=0.01)


def test_who_comes_back_later_is_remembered(fleet: Fleet) -> None:
    learned = view(fleet).seconds_per_token
    fleet.retire("desk", 100.0)
    fleet.add(DESK, 160.0)
    fleet.health.observe("desk", SEEN, 160.0)
    assert view(fleet, 160.0).seconds_per_token == pytest.approx(learned, rel=0.01)


def test_what_runs_on_the_server_before_says_nothing_of_another_one_under_its_name(fleet: Fleet) -> None:
    old = begun(fleet, 100.0)
    fleet.add(replace(DESK, url="http://cellar:8080"), 100.0)
    fleet.health.observe("desk", SEEN, 100.0)
    for _ in range(5):
        fleet.health.failed(old, UpstreamError(Fault.REFUSED, "no connection", gone=True), 101.0)
    fleet.health.answered(old, 101.0, doubt=True)
    fleet.leases.first_token(old, 101.0)
    fleet.leases.release(old, Lesson(True, 5.5), 101.0)
    assert fleet.health.phase("desk") is Phase.READY
    assert fleet.leases.in_flight("desk") == 0
