"""Another configuration takes the place of the one in force, or does not."""

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from waiting import eventually

from zoe_grpcd.config import Config, Source
from zoe_grpcd.core.errors import InvalidRequest
from zoe_grpcd.reloading import Reloading
from zoe_grpcd.settings import Settings

GOOD = "log: {level: info}\nbackends: [{name: a, url: 'http://127.0.0.1:1'}]\n"


class House:
    """A file, and what was put in force."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text(GOOD)
        source = Source({"HOME": str(path.parent)}, str(path))
        self.applied: list[tuple[Config, Settings]] = []
        self.told: list[str] = []
        self.reloading = Reloading(source, source.read(), self._apply, self._around)

    async def _apply(self, config: Config, settings: Settings) -> None:
        await asyncio.sleep(0)
        self.applied.append((config, settings))

    @contextmanager
    def _around(self) -> Iterator[None]:
        self.told.append("begins")
        try:
            yield
        finally:
            self.told.append("ends")

    @property
    def generation(self) -> int:
        return self.reloading.in_force().generation


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "config.yaml")


async def test_what_changed_is_put_in_force_and_told(house: House) -> None:
    house.path.write_text(GOOD + "routing: {default_model: m}\nadmission: {max_queue: 7}\n")
    done = await house.reloading.reload()
    assert done.generation == house.generation == 2
    assert done.changes == ["routing.default_model: set to m", "admission.max_queue: 256 -> 7"]
    assert done.restart_required == []
    ((config, settings),) = house.applied
    assert config.admission.max_queue == 7
    assert settings.rules.policy.config_generation == 2
    assert house.told == ["begins", "ends"]
    now = house.reloading.in_force()
    assert "max_queue: 7" in now.yaml
    assert now.source == str(house.path)
    assert now.sha256 == hashlib.sha256(house.path.read_bytes()).hexdigest()


async def test_the_same_configuration_has_the_same_number(house: House) -> None:
    house.path.write_text("# a remark\n" + GOOD)
    done = await house.reloading.reload()
    assert (done.generation, done.changes, house.applied) == (1, [], [])
    assert house.reloading.in_force().sha256 == hashlib.sha256(house.path.read_bytes()).hexdigest()


async def test_to_validate_changes_nothing(house: House) -> None:
    house.path.write_text(GOOD.replace("name: a", "name: b"))
    done = await house.reloading.reload(validate_only=True)
    assert done.changes == ["backends[a]: removed", "backends[b]: added"]
    assert (done.generation, house.generation, house.applied, house.told) == (1, 1, [], [])


WRONG: dict[str, tuple[str | bytes | None, int]] = {
    "two mistakes": ("servers: {}\nlog: {level: loud}\n", 2),
    "no YAML": ("backends: [\n", 1),
    "no UTF-8": (b"\xff\xfe\x00", 1),
    "no file": (None, 1),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("validate_only", [False, True])
async def test_a_wrong_one_changes_nothing_and_says_all_that_is_wrong(
    house: House, case: str, validate_only: bool
) -> None:
    text, mistakes = WRONG[case]
    if text is None:
        house.path.unlink()
    else:
        house.path.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = house.reloading.in_force()
    with pytest.raises(InvalidRequest) as caught:
        await house.reloading.reload(validate_only=validate_only)
    assert len(caught.value.violations) == mistakes
    assert all(str(house.path) in violation.description for violation in caught.value.violations)
    assert house.reloading.in_force() == before
    assert house.applied == []
    house.path.write_text(GOOD.replace("name: a", "name: b"))
    assert (await house.reloading.reload()).generation == 2


async def test_what_needs_a_restart_is_listed_until_it_comes(house: House) -> None:
    house.path.write_text(GOOD + "server: {listen: ['127.0.0.1:7']}\n")
    for _ in range(2):
        done = await house.reloading.reload()
        assert done.restart_required == ["server.listen"]
        assert (done.generation, house.applied) == (1, [])
    assert "127.0.0.1:7" not in house.reloading.in_force().yaml


async def test_one_reload_comes_after_the_other(house: House) -> None:
    house.path.write_text(GOOD + "admission: {max_queue: 7}\n")
    done = await asyncio.gather(*(house.reloading.reload() for _ in range(5)))
    assert [len(one.changes) for one in done] == [1, 0, 0, 0, 0]
    assert len(house.applied) == 1


async def test_nobody_is_told_of_a_mistake_twice_but_the_log(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.path.write_text("log: {level: loud}\n")
    await house.reloading.quietly()
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "the one in force stays" in caplog.text
    assert "log.level" in caplog.text


@pytest.fixture
def watched(house: House, monkeypatch: pytest.MonkeyPatch) -> Callable[[], "asyncio.Task[None]"]:
    monkeypatch.setattr("zoe_grpcd.reloading.LOOK", 0.001)
    return lambda: asyncio.create_task(house.reloading.watch())


async def test_a_change_of_the_file_is_put_in_force_where_that_is_switched_on(
    house: House, watched: Callable[[], "asyncio.Task[None]"]
) -> None:
    text = GOOD + "server: {reload_on_change: true}\n"
    house.path.write_text(text)
    await house.reloading.reload()
    watching = watched()
    await asyncio.sleep(0)
    other = house.path.with_name("other.yaml")
    other.write_text(text + "admission: {max_queue: 7}\n")
    other.replace(house.path)  # as editors do
    await eventually(lambda: house.generation == 3)
    house.path.write_text("nonsense")
    await eventually(lambda: house.told == ["begins", "ends"] * 3)
    house.path.write_text(text + "admission: {max_queue: 8}\n")
    await eventually(lambda: house.generation == 4)
    watching.cancel()


async def test_a_change_of_the_file_is_left_alone_otherwise(
    house: House, watched: Callable[[], "asyncio.Task[None]"]
) -> None:
    looks = 0
    signature = house.reloading._source.signature

    def counted(*besides: Path | None) -> object:
        nonlocal looks
        looks += 1
        return signature(*besides)

    house.reloading._source.signature = counted  # type: ignore[method-assign,assignment]
    watching = watched()
    house.path.write_text(GOOD + "admission: {max_queue: 7}\n")
    os.utime(house.path, (1, 1))
    await eventually(lambda: looks > 10)
    watching.cancel()
    assert house.generation == 1


async def test_a_file_that_comes_later_is_found(tmp_path: Path) -> None:
    """The daemon began without one."""
    source = Source({"HOME": str(tmp_path)})

    async def apply(_config: Config, _settings: Settings) -> None:
        pass

    reloading = Reloading(source, source.read(), apply)
    assert (reloading.in_force().source, reloading.in_force().sha256) == ("", "")
    file = tmp_path / ".config/zoe-grpcd/config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(GOOD)
    assert (await reloading.reload()).changes == ["backends[a]: added"]
    assert reloading.in_force().source == str(file)
