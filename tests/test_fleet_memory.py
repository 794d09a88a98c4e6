"""What a fleet has learned, and what one that comes after it makes of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.core.answer import Usage
from zoe_grpcd.core.backend import Backend, Deployment
from zoe_grpcd.core.learning import Lesson
from zoe_grpcd.core.observation import ModelStatus, Observation
from zoe_grpcd.fleet import Fleet

DESK = Backend("desk", "llamacpp", "http://desk:8080", local=True)
MODELS = (ModelStatus("small.gguf", alias="small"), ModelStatus("large.gguf", alias="large"))
WALK = 1e6  # seconds by which the clocks of the two processes are apart
SEEN = Observation(ok=True, models=MODELS)


def fleet_with(*backends: Backend, at: float = 0.0) -> Fleet:
    fleet = Fleet()
    for backend in backends:
        fleet.add(backend, at)
        fleet.health.observe(backend.name, SEEN, at)
    return fleet


def teach(fleet: Fleet, at: float, name: str = "desk", model: str = "small") -> float:
    """Twenty answers of 100 tokens that took 5 s each, half a second of it for the first token; when they are over."""
    for _ in range(20):
        lease = fleet.leases.take(Deployment(model, name, f"{model}.gguf", auto=True), at)
        fleet.leases.first_token(lease, at + 0.5)
        lesson = Lesson(False, 5.0, 0.5, 100, whole=True, usage=Usage(50, 100), prompt_bytes=200)
        fleet.leases.release(lease, lesson, at := at + 5.0)
    return at


def handed_over(old: Fleet, at: float, new: Fleet, later: float) -> None:
    """Through a file: `at` of the old clock is `later` of the new one."""
    for kind, key, values in old.memory.dump(at):
        new.memory.restore(kind, key, json.loads(json.dumps(values)), later)


def seen(fleet: Fleet, at: float, model: str = "small", name: str = "desk") -> dict[str, Any]:
    (view,) = [v for v in fleet.picture.snapshot(at).by_model[model] if v.deployment.backend == name]
    shown = {name: getattr(view, name) for name in view.__dataclass_fields__}
    return {key: value for key, value in shown.items() if isinstance(value, float)}


def after_restart(backend: Backend = DESK, gap: float = 0.0, seen_then: Observation = SEEN) -> Fleet:
    old = fleet_with(DESK)
    ended = teach(old, 100.0)
    new = Fleet()
    handed_over(old, ended, new, WALK)
    new.add(backend, WALK + gap)
    new.health.observe(backend.name, seen_then, WALK + gap)
    return new


def test_a_fleet_that_was_told_decides_as_the_one_that_has_learned() -> None:
    old = fleet_with(DESK)
    ended = teach(old, 100.0)
    new = Fleet()
    handed_over(old, ended, new, WALK)
    new.add(DESK, WALK)
    new.health.observe("desk", SEEN, WALK)
    old.health.observe("desk", SEEN, ended)  # has all views made anew
    assert seen(new, WALK) == pytest.approx(seen(old, ended))
    assert seen(new, WALK, "large") == pytest.approx(seen(old, ended, "large"))
    assert seen(new, WALK) != pytest.approx(seen(fleet_with(DESK), 0.0))


def test_what_was_learned_goes_on_to_fade() -> None:
    """After a night, fresh answers count for more than what was learned before it."""

    def token_after_one_slow_answer(gap: float) -> float:
        new = after_restart(gap=gap)
        lease = new.leases.take(Deployment("small", "desk", "small.gguf", auto=True), WALK + gap)
        new.leases.first_token(lease, WALK + gap + 0.5)
        new.leases.release(
            lease, Lesson(False, 50.5, 0.5, 100, whole=True, usage=Usage(50, 100)), WALK + gap + 50.5
        )
        (_, _, values) = next(v for v in new.memory.dump(WALK + gap + 51) if v[0] == "backend")
        total, weight, _ = values["models"]["small"]["token"]
        return float(total / weight)

    assert token_after_one_slow_answer(0.0) < 0.1
    assert token_after_one_slow_answer(43_200.0) > 0.45


def test_only_what_has_learned_something_is_dumped() -> None:
    fleet = fleet_with(DESK, Backend("attic", "llamacpp", "http://attic:8080", local=True))
    assert list(fleet.memory.dump(0.0)) == []
    ended = teach(fleet, 0.0)
    assert [(k, key) for k, key, _ in fleet.memory.dump(ended)] == [
        ("backend", "desk"),
        ("model", "large"),
        ("model", "small"),
        ("fleet", "usual"),
    ]
    assert list(fleet.memory.dump(ended)) == []


@pytest.mark.parametrize(
    "other",
    [
        Backend("desk", "llamacpp", "http://cellar:8080", local=True),
        Backend("desk", "ollama", "http://desk:8080", local=True),
        Backend("cellar", "llamacpp", "http://desk:8080", local=True),
    ],
)
def test_another_server_has_none_of_it(other: Backend) -> None:
    new = after_restart(other)
    (_, _, values) = next(v for v in _all(new, other.name) if v[0] == "backend")
    assert values["models"]["small"]["token"][1] == 0.0
    assert values["writing"][1] == 0.0


def test_another_file_under_the_name_of_a_model_has_none_of_it() -> None:
    models = (ModelStatus("other.gguf", alias="small"), ModelStatus("large.gguf", alias="large"))
    new = after_restart(seen_then=Observation(ok=True, models=models))
    (_, _, values) = next(v for v in _all(new, "desk") if v[0] == "backend")
    assert values["models"]["small"]["token"][1] == 0.0
    assert values["writing"][1] > 0.0


def test_a_backend_that_is_set_up_anew_is_the_same_server() -> None:
    fleet = fleet_with(DESK)
    ended = teach(fleet, 0.0)
    fleet.health.observe("desk", SEEN, ended)  # has all views made anew
    before = seen(fleet, ended)
    fleet.add(Backend("desk", "llamacpp", "http://desk:8080", local=True, weight=0.5), ended)
    fleet.health.observe("desk", SEEN, ended)
    assert seen(fleet, ended) == pytest.approx(before)


def _all(fleet: Fleet, *names: str) -> list[Any]:
    fleet.memory.changed.update(names)
    return list(fleet.memory.dump(WALK))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(st.data())
def test_what_is_none_of_ours_is_passed_over(data: st.DataObject) -> None:
    """A dump in which something is anything else."""
    old = fleet_with(DESK)
    ended = teach(old, 100.0)
    new = Fleet()
    for kind, key, values in old.memory.dump(ended):
        new.memory.restore(kind, key, _spoiled(json.loads(json.dumps(values)), data), WALK)
    new.add(DESK, WALK)
    new.health.observe("desk", SEEN, WALK)
    teach(new, WALK)
    assert all(0.0 <= value < float("inf") for value in seen(new, WALK + 200).values())


def _spoiled(values: Any, data: st.DataObject) -> Any:
    if isinstance(values, dict) and values and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(values)))
        return {**values, key: _spoiled(values[key], data)}
    if isinstance(values, list) and values and data.draw(st.booleans()):
        index = data.draw(st.integers(0, len(values) - 1))
        return [*values[:index], _spoiled(values[index], data), *values[index + 1 :]]
    return data.draw(JSON)
