"""What another configuration would change, as an operator reads it."""

import textwrap
from collections.abc import Callable

import pytest

from zoe_grpcd.config import Config, Loaded
from zoe_grpcd.config.changes import AT_START, at_start, changes, without_restart
from zoe_grpcd.config.section import options

Load = Callable[..., Loaded]

BEFORE = """\
server: {listen: ['127.0.0.1:1'], drain_timeout: 30s}
backends:
  - {name: a, kind: openai, url: 'http://a', api_key: s3cret-1, labels: {room: cellar}}
  - {name: b, url: 'http://b'}
models: [{name: m, deployments: [{backend: a, params: {temperature: 0.5, headers: {x-api-key: s3cret-2}}}]}]
routing: {aliases: {fast: [m]}}
state: {url: 'redis://:s3cret-3@h'}
"""


@pytest.fixture
def told(loaded: Load) -> Callable[..., list[str]]:
    """What a replacement in BEFORE changes."""

    def changed(*replacements: tuple[str, str]) -> list[str]:
        text = BEFORE
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        return changes(loaded(BEFORE).config, loaded(text).config)

    return changed


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("30s", "1m", "server.drain_timeout: 30.0 -> 60.0"),
        ("['127.0.0.1:1']", "['127.0.0.1:2']", "server.listen: [127.0.0.1:1] -> [127.0.0.1:2]"),
        ("'http://b'", "'http://c'", "backends[b].url: http://b -> http://c"),
        ("cellar", "attic", "backends[a].labels.room: cellar -> attic"),
        ("{room: cellar}", "{}", "backends[a].labels.room: no longer set"),
        ("'http://b'", "'http://b', max_in_flight: 2", "backends[b].max_in_flight: set to 2"),
        ("'http://b'}", "'http://b'}\n  - {name: c, url: 'http://c'}", "backends[c]: added"),
        ("  - {name: b, url: 'http://b'}\n", "", "backends[b]: removed"),
        ("temperature: 0.5", "temperature: 0.7", "models[m].deployments: changed"),
        ("{fast: [m]}", "{fast: [m], slow: [m]}", "routing.aliases.slow: set to [m]"),
        ("s3cret-1", "s3cret-4", "backends[a].api_key: changed"),
        ("s3cret-3", "s3cret-4", "state.url: changed"),
        ("s3cret-2", "s3cret-4", "models[m].deployments: changed"),
    ],
)
def test_a_change_is_told_by_its_path(
    told: Callable[..., list[str]], old: str, new: str, sentence: str
) -> None:
    assert told((old, new)) == [sentence]


def test_the_same_is_no_change(told: Callable[..., list[str]]) -> None:
    assert told(("30s", "0.5m")) == []


def test_all_changes_are_told(told: Callable[..., list[str]]) -> None:
    assert len(told(("30s", "1m"), ("cellar", "attic"), ("s3cret-1", "s3cret-4"))) == 3


def test_what_only_a_start_can_change_stays_as_it_is_and_is_listed(loaded: Load) -> None:
    before = loaded(BEFORE).config
    other = (
        BEFORE.replace("127.0.0.1:1", "127.0.0.1:2")
        .replace("30s", "1m")
        .replace("redis://:s3cret-3@h", "memory://")
    )
    after = loaded(textwrap.dedent(other) + "log: {format: json, level: debug}\n").config
    assert at_start(before, after) == ["server.listen", "state.url", "log.format"]
    now = without_restart(before, after)
    assert now.server.listen == before.server.listen
    assert now.state == before.state
    assert (now.log.format, now.log.level) == ("auto", "debug")
    assert now.server.drain_timeout == 60.0
    assert at_start(before, now) == []
    assert without_restart(before, before) == before


def test_what_only_a_start_can_change_are_options_that_exist() -> None:
    known = {path for path, _, _ in options(Config)}
    assert set(AT_START) <= known
