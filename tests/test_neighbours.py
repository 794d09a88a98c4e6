"""Backends that share a machine: who is whose neighbour, what a decision sees of it, and what is learned."""

import pytest
from fakes import BROKEN, a_backend, seen

from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.learning import Lesson
from zoe_grpcd.core.observation import LoadState, ModelStatus
from zoe_grpcd.core.timetable import USUAL
from zoe_grpcd.core.views import BackendView
from zoe_grpcd.fleet import Fleet, Lease
from zoe_grpcd.fleet.machine import machine_of

HERE = {"a": "http://127.0.0.1:8080", "b": "http://localhost:8081", "c": "http://[::1]:11434"}


def a_fleet(urls: dict[str, str], **fields: object) -> Fleet:
    """Backends of two slots, each with a model of its own name."""
    fleet = Fleet()
    for name, url in urls.items():
        fleet.add(a_backend(name, url=url, **fields), 0.0)
        fleet.health.observe(name, seen(name, slots=2, busy=0), 0.0)
    return fleet


def lease(fleet: Fleet, name: str, now: float = 0.0) -> Lease:
    (view,) = fleet.picture.snapshot(now).by_model[name]
    return fleet.leases.take(view.deployment, now)


def neighbours(fleet: Fleet, now: float = 0.0) -> dict[str, int]:
    return {name: view.neighbours for name, view in fleet.picture.snapshot(now).backends.items()}


def view_of(fleet: Fleet, name: str, now: float = 0.0) -> BackendView:
    return fleet.picture.snapshot(now).backends[name]


@pytest.mark.parametrize(
    ("url", "other", "same"),
    [
        ("http://127.0.0.1:1", "http://127.0.0.1:2", True),
        ("http://127.0.0.1:1", "http://localhost:2", True),
        ("http://127.0.0.1:1", "http://[::1]:2/v1", True),
        ("http://127.0.0.1:1", "http://127.0.0.2:1", True),
        ("http://127.0.0.1:1", "unix:/run/llama.sock", True),
        ("http://Box.lan:1", "https://box.lan:2", True),
        ("http://user:word@box:1", "http://box:1", True),
        ("http://box-a:1", "http://box-b:1", False),
        ("http://10.0.0.1:1", "http://10.0.0.2:1", False),
        ("http://127.0.0.1:1", "http://10.0.0.2:1", False),
    ],
)
def test_the_host_of_the_address_names_the_machine(url: str, other: str, same: bool) -> None:
    one, two = (machine_of(Backend("x", "llamacpp", each)) for each in (url, other))
    assert (one == two) is same
    assert one
    assert two


def test_what_is_computed_far_away_or_has_no_address_shares_no_machine() -> None:
    assert machine_of(Backend("x", "openai", "https://api.example.org", local=False)) == ""
    assert machine_of(Backend("x", "litellm", "")) == ""


def test_requests_in_flight_are_seen_by_the_neighbours() -> None:
    fleet = a_fleet({**HERE, "far": "http://box:8080"})
    assert neighbours(fleet) == {"a": 0, "b": 0, "c": 0, "far": 0}
    first = lease(fleet, "a")
    lease(fleet, "b")
    assert neighbours(fleet) == {"a": 1, "b": 1, "c": 2, "far": 0}
    fleet.leases.release(first, None, 1.0)
    assert neighbours(fleet, 1.0) == {"a": 1, "b": 0, "c": 1, "far": 0}


def test_two_servers_far_away_are_no_neighbours() -> None:
    fleet = a_fleet({"x": "https://api.example.org/1", "y": "https://api.example.org/2"}, local=False)
    lease(fleet, "x")
    assert neighbours(fleet) == {"x": 0, "y": 0}


def test_work_of_others_counts_as_well_until_its_server_is_gone() -> None:
    fleet = a_fleet(HERE)
    fleet.health.observe("a", seen("a", slots=4, busy=3), 1.0)
    assert neighbours(fleet, 1.0) == {"a": 0, "b": 3, "c": 3}
    fleet.health.observe("a", BROKEN, 2.0)
    assert neighbours(fleet, 2.0) == {"a": 0, "b": 0, "c": 0}


def test_who_waits_for_a_slot_or_for_a_load_is_not_at_work() -> None:
    fleet = a_fleet(HERE)
    for _ in range(3):
        lease(fleet, "a")
    assert neighbours(fleet)["b"] == 2
    fleet.health.observe("c", seen(ModelStatus("c", LoadState.UNLOADED), slots=2, busy=0), 0.0)
    cold = lease(fleet, "c")
    assert neighbours(fleet)["b"] == 2
    fleet.leases.first_token(cold, 5.0)
    assert neighbours(fleet, 5.0)["b"] == 3


def test_a_backend_that_is_set_up_anew_leaves_nothing_behind() -> None:
    fleet = a_fleet(HERE)
    lease(fleet, "a")
    fleet.add(a_backend("a", url="http://elsewhere:1"), 1.0)
    assert neighbours(fleet, 1.0) == {"a": 0, "b": 0, "c": 0}


def test_a_change_on_a_neighbour_keeps_the_rest_of_a_picture() -> None:
    fleet = a_fleet(HERE)
    before, models = view_of(fleet, "b"), fleet.picture.snapshot(0.0).by_model
    lease(fleet, "a")
    after = view_of(fleet, "b")
    assert before.neighbours == 0, "nobody changes a picture that was given away"
    assert after.shop is before.shop
    assert fleet.picture.snapshot(0.0).by_model is models


def learned(fleet: Fleet, slower: float) -> float:
    """What `a` takes a neighbour to cost after answers alone and beside the neighbour, in turn, so many times slower."""
    now = 10.0
    for number in range(40):
        neighbour = lease(fleet, "b", now) if number % 2 else None
        mine = lease(fleet, "a", now)
        fleet.leases.first_token(mine, now)
        seconds = 2.0 * (slower if neighbour else 1.0)
        now += seconds
        fleet.leases.release(mine, Lesson(False, seconds, 0.0, output_tokens=100, whole=True), now)
        if neighbour is not None:
            fleet.leases.release(neighbour, None, now)
        now += 1.0
    shop = view_of(fleet, "a", now).shop
    assert shop is not None
    return shop.sharing.neighbours


@pytest.mark.parametrize("slower", [1.0, 1.3, 2.0])
def test_what_a_neighbour_costs_is_learned(slower: float) -> None:
    """Nothing, where each has a GPU of its own."""
    assert learned(a_fleet(HERE), slower) == pytest.approx(slower - 1.0, abs=0.15)


def test_how_fast_it_is_alone_is_not_mistaken_for_how_fast_it_is_beside_a_neighbour() -> None:
    fleet = a_fleet(HERE)
    learned(fleet, 2.0)
    (view,) = fleet.picture.snapshot(200.0).by_model["a"]
    assert view.seconds_per_token == pytest.approx(0.02, rel=0.1)


def test_work_on_another_machine_teaches_nothing() -> None:
    assert learned(a_fleet({"a": "http://one:1", "b": "http://two:1"}), 2.0) == USUAL.neighbours


def test_a_server_that_nobody_has_used_is_taken_to_be_as_fast_as_the_other_one_on_its_machine() -> None:
    fleet = a_fleet({**HERE, "far": "http://box:8080"})
    learned(fleet, 1.0)
    for name in HERE.keys() | {"far"}:
        fleet.health.observe(name, seen(name, slots=2, busy=0), 200.0)
    speeds = {
        name: fleet.picture.snapshot(200.0).by_model[name][0].seconds_per_token for name in [*HERE, "far"]
    }
    assert speeds["b"] == pytest.approx(0.02, rel=0.2)
    assert speeds["c"] == speeds["b"]


def test_a_machine_is_taken_for_a_usual_one_until_somebody_has_used_it() -> None:
    fleet = a_fleet({"a": "http://one:1", "b": "http://one:2", "c": "http://two:1", "d": "http://three:1"})
    now = 0.0
    for name, seconds in (("a", 1.0), ("c", 4.0)):
        for _ in range(20):
            mine = lease(fleet, name, now)
            fleet.leases.first_token(mine, now)
            fleet.leases.release(
                mine, Lesson(False, seconds, 0.0, output_tokens=100, whole=True), now + seconds
            )
            now += 10.0
    for name in "abcd":
        fleet.health.observe(name, seen(name, slots=2, busy=0), now)
    views = fleet.picture.snapshot(now).by_model
    own, beside, slow, unknown = (views[name][0].seconds_per_token for name in "abcd")
    assert beside == pytest.approx(own, rel=0.2)
    assert own < unknown < slow
