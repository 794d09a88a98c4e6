"""auth.keys_file: a file with keys of its own, for its owner alone."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from zoe_grpcd.config import ConfigError, Loaded, dump, load

Load = Callable[..., Loaded]
FILE = "auth: {keys_file: keys.yaml}\n"
OPEN = "server: {listen: ['0.0.0.0:50051']}\n"


@pytest.fixture(name="keys_file")
def _keys_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes it."""

    def write(text: str, mode: int = 0o600) -> Path:
        file = tmp_path / "keys.yaml"
        file.write_text(text)
        file.chmod(mode)
        return file

    return write


def mistakes_of(file: Path, text: str) -> list[str]:
    """Each mistake as `file:line: path: message`, of the configuration beside the file."""
    config = file.parent / "config.yaml"
    config.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(config, {"XDG_RUNTIME_DIR": "/run/user/1"})
    return [f"{Path(p.file).name}:{p.line}: {p.path}: {p.message}" for p in caught.value.problems]


def test_its_keys_stand_beside_those_of_the_configuration(
    loaded: Load, keys_file: Callable[..., Path]
) -> None:
    keys_file(
        "- {name: b, key: '${KEY}', rpm: 5}\n- {name: c, key_sha256: '" + "0" * 64 + "', admin: true}\n"
    )
    text = OPEN + "auth: {keys_file: keys.yaml, keys: [{name: a, key: zoe-a}]}"
    result = loaded(text, KEY="zoe-s3cret")
    keys = result.config.auth.everyone
    assert [key.name for key in keys] == ["a", "b", "c"]
    assert keys[1].rpm == 5
    assert keys[1].key is not None
    assert keys[1].key.get_secret_value() == "zoe-s3cret"
    assert "s3cret" not in f"{dump(result.config)}{result.config!r}{keys!r}{result.warnings}"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o611, 0o777])
def test_it_is_refused_when_others_could_read_or_change_it_with_what_mends_that(
    keys_file: Callable[..., Path], mode: int
) -> None:
    file = keys_file("- {name: a, key: zoe-s3cret}", mode)
    (mistake,) = mistakes_of(file, FILE)
    assert mistake == (
        f"config.yaml:1: auth.keys_file: must be for its owner alone, not 'keys.yaml': chmod 600 {file} mends that"
    )
    file.chmod(0o600)
    load(file.parent / "config.yaml", {"XDG_RUNTIME_DIR": "/run/user/1"})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_it_is_refused_when_it_belongs_to_somebody_else(keys_file: Callable[..., Path]) -> None:
    file = keys_file("- {name: a, key: zoe-s3cret}")
    os.chown(file, 65534, 65534)
    (mistake,) = mistakes_of(file, FILE)
    assert f"must belong to who runs the daemon, not 'keys.yaml': chown 0 {file} mends that" in mistake


def test_it_is_refused_when_it_is_not_there_or_no_file(tmp_path: Path) -> None:
    config = tmp_path / "none"
    (mistake,) = mistakes_of(config, FILE)
    assert (
        "auth.keys_file: must be a file that can be read, not 'keys.yaml': No such file or directory"
        in mistake
    )
    (tmp_path / "keys.yaml").mkdir()
    assert mistakes_of(config, FILE)[0].startswith(
        "config.yaml:1: auth.keys_file: must be a file, not 'keys.yaml'"
    )


def test_all_its_mistakes_are_told_at_their_lines_and_no_value_is(keys_file: Callable[..., Path]) -> None:
    file = keys_file(
        "- {name: a, key: s3cret one}\n- {name: b}\n- {name: a, key: s3cret, rpm: none}\n- {nme: c}\n"
    )
    found = mistakes_of(file, FILE)
    assert [line.split(": ")[:2] for line in found] == [
        ["keys.yaml:1", "auth.keys[0].key"],
        ["keys.yaml:2", "auth.keys[1]"],
        ["keys.yaml:3", "auth.keys[2].name"],
        ["keys.yaml:3", "auth.keys[2].rpm"],
        ["keys.yaml:4", "auth.keys[3]"],
        ["keys.yaml:4", "auth.keys[3].name"],
        ["keys.yaml:4", "auth.keys[3].nme"],
    ]
    assert "s3cret" not in "".join(found)


@pytest.mark.parametrize(
    ("keys", "config", "mistake"),
    [
        ("", FILE, "keys.yaml:1: auth.keys: is empty; zoe-grpcd keys new makes a key"),
        ("[]", OPEN + FILE, "keys.yaml:1: auth.keys: is empty; zoe-grpcd keys new makes a key"),
        ("{", FILE, "keys.yaml:1: : is not YAML: "),
        (
            "- {name: a, key: other}",
            "auth: {keys_file: keys.yaml, keys: [{name: a, key: one}]}",
            "keys.yaml:1: auth.keys[0].name: is the name of a key in the configuration too; each needs its own",
        ),
        (
            "- {name: b, key: one}",
            "auth: {keys_file: keys.yaml, keys: [{name: a, key: one}]}",
            "keys.yaml:1: auth.keys[0]: is a key that the configuration has too, under another name",
        ),
        (
            "- {name: b, key: one}",
            "server: {admin_listen: '127.0.0.1:1'}\n" + FILE,
            "keys.yaml:1: auth.keys: has no key with admin: true, which server.admin_listen needs; or use a socket",
        ),
    ],
)
def test_what_does_not_fit_to_the_configuration_is_told(
    keys_file: Callable[..., Path], keys: str, config: str, mistake: str
) -> None:
    (found,) = mistakes_of(keys_file(keys), config)
    assert found.startswith(mistake)


def test_an_admin_key_of_the_file_opens_a_port_for_administration(
    loaded: Load, keys_file: Callable[..., Path]
) -> None:
    keys_file("- {name: a, key: one, admin: yes}")
    assert (
        loaded("server: {admin_listen: '127.0.0.1:1'}\n" + FILE).config.server.admin_listen == "127.0.0.1:1"
    )
