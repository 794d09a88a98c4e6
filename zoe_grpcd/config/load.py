"""File -> `Loaded`, or every mistake in it.

Rule: loading touches the file, the files that it refers to, and nothing else: no network, no backend.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from zoe_grpcd.config import crosscheck, deadends, extras, litellm, not_yet, reach, report
from zoe_grpcd.config.document import Document, Unreadable, read
from zoe_grpcd.config.interpolate import Interpolation
from zoe_grpcd.config.model import Config
from zoe_grpcd.config.problem import ConfigError, Problem, path_text


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used. `sha256` is that of the file's bytes, in hexadecimal. Without a file, `source` is
    None and `sha256` empty.
    """

    config: Config
    warnings: tuple[Problem, ...]
    source: Path | None
    sha256: str


def find(env: Mapping[str, str], argument: str | os.PathLike[str] | None = None) -> Path | None:
    """The file to load: `argument`, else $ZOE_GRPCD_CONFIG, else config.yaml in the user's folder if there is one.

    None: there is no file, and `defaults` apply. A file that was named and does not exist is an error of `load`.
    """
    if argument:
        return Path(argument)
    if named := env.get("ZOE_GRPCD_CONFIG"):
        return Path(named)
    home = env.get("XDG_CONFIG_HOME") or (f"{env['HOME']}/.config" if env.get("HOME") else "")
    usual = Path(home) / "zoe-grpcd" / "config.yaml"
    return usual if home and usual.is_file() else None


def defaults(env: Mapping[str, str] = os.environ) -> Config:
    """The configuration of one who has none: no backends, so that local ones are looked for."""
    return Config.model_validate({}, context={"env": env, "folder": Path()})


def load(path: Path, env: Mapping[str, str] = os.environ) -> Loaded:
    """Reads and checks `path`. Raises ConfigError with all mistakes in the order of the file."""
    file = str(path)
    content = _content(path)
    document = _document(content, file, Interpolation(env, path.parent).fill)
    notes: tuple[Problem, ...] = ()
    if litellm.is_litellm(document.data):
        theirs = _document(content, file, str)
        translation = litellm.translate(theirs.data)
        known = Interpolation({**env, **translation.values}, path.parent)
        document, notes = (
            litellm.as_ours(theirs, translation, known.fill),
            _notes(translation.notes, theirs, file),
        )
    config, problems = _validated(document, file, {"env": env, "folder": path.parent})
    if config is None or problems:
        raise ConfigError(problems)
    said = chain(
        crosscheck.advice(document.data),
        reach.warnings(document.data),
        deadends.warnings(document.data),
        not_yet.warnings(document.data),
    )
    warnings = tuple(sorted((*notes, *(report.problem(finding, document, file) for finding in said))))
    return Loaded(config, warnings, path, hashlib.sha256(content).hexdigest())


def imported(path: Path) -> tuple[str, tuple[Problem, ...]]:
    """A LiteLLM proxy file as a file of ours, and what is not carried over. Raises ConfigError if it is none.

    No secret is in the text, and no variable has to be set for it.
    """
    file = str(path)
    theirs = _document(_content(path), file, str)
    if not litellm.is_litellm(theirs.data):
        raise ConfigError((Problem(file, 0, "", "is no LiteLLM proxy file, which has a model_list"),))
    translation = litellm.translate(theirs.data)
    mistakes = [(note.path, theirs.line(note.path), note.message) for note in translation.mistakes]
    if mistakes := [*theirs.mistakes, *mistakes]:
        found = (Problem(file, line, path_text(at), message) for at, line, message in mistakes)
        raise ConfigError(tuple(sorted(found)))
    said = _notes((*translation.written, *translation.notes), theirs, file)
    return litellm.text_of(translation, path.name), said


def _notes(notes: Iterable[litellm.Note], theirs: Document, file: str) -> tuple[Problem, ...]:
    found = (Problem(file, theirs.line(n.path), path_text(n.path), n.message) for n in notes)
    return tuple(sorted(found))


def _document(content: bytes, file: str, fill: Callable[[str], str]) -> Document:
    try:
        return read(content.decode("utf-8-sig"), fill)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError((Problem(file, line, "", "must be UTF-8 text"),)) from None
    except Unreadable as error:
        raise ConfigError((Problem(file, error.line, "", str(error)),)) from None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else "its name is not valid"
        raise ConfigError((Problem(str(path), 0, "", f"can't be read: {cause}"),)) from None


def _validated(
    document: Document, file: str, context: Mapping[str, Any]
) -> tuple[Config | None, tuple[Problem, ...]]:
    """The configuration, or None, and the mistakes in the order of the file."""
    data = {} if document.data is None else document.data
    findings = [*crosscheck.findings(data), *extras.missing(data)]
    config = None
    try:
        config = Config.model_validate(data, context=dict(context))
    except ValidationError as error:
        findings += report.findings(error, document)
    problems = {
        report.problem(finding, document, file) for finding in findings if document.is_usable(finding.path)
    }
    problems |= {Problem(file, line, path_text(path), message) for path, line, message in document.mistakes}
    if config is None or problems:
        return None, tuple(sorted(problems))
    return _with_keys_file(config, context)


def _with_keys_file(config: Config, context: Mapping[str, Any]) -> tuple[Config, tuple[Problem, ...]]:
    """The configuration with the keys of the file that it names, and the mistakes there."""
    auth = config.auth
    if auth.keys_file is None:
        return config, ()
    file = str(auth.keys_file)
    document = _document(
        _content(auth.keys_file), file, Interpolation(context["env"], auth.keys_file.parent).fill
    )
    document = document.below("auth", "keys")
    filed, problems = _validated(document, file, context)
    if filed is None:
        return config, problems
    config = config.model_copy(update={"auth": auth.with_filed(filed.auth.keys)})
    return config, tuple(report.problem(found, document, file) for found in crosscheck.filed(config))
