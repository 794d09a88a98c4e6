"""`${VAR}`, `${VAR:-default}` and `${file:NAME}` inside one YAML scalar.

Rule: what is filled in is text and stays text; it is never read as YAML and never part of a message.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Interpolation:
    """Fills in references from `env`, from $CREDENTIALS_DIRECTORY, and from files beside the configuration."""

    env: Mapping[str, str]
    folder: Path

    def fill(self, text: str) -> str:
        """`text` with every reference replaced; `$${` gives `${`. Raises ValueError with all that is wrong in it."""
        mistakes: list[str] = []

        def replace(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            try:
                return self._value(match[1], closed=bool(match[2]))
            except ValueError as error:
                mistakes.append(str(error))
                return ""

        filled = _REFERENCE.sub(replace, text)
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return filled

    def _value(self, reference: str, *, closed: bool) -> str:
        if closed and reference.startswith("file:"):
            return self._content(reference.removeprefix("file:"))
        variable = _VARIABLE.fullmatch(reference)
        if not closed or not variable:
            raise ValueError(
                "must hold ${VAR}, ${VAR:-default} or ${file:NAME} after '${'; for the two characters, write '$${'"
            )
        value, default = self.env.get(variable[1]), variable[2]
        if default is not None:
            return value or default
        if value is None:
            raise ValueError(
                f"environment variable {variable[1]} is not set; set it, or write ${{{variable[1]}:-default}}"
            )
        return value

    def _content(self, name: str) -> str:
        """What the file holds, without the line end at its end."""
        places = [self.folder / Path(name)]
        credentials = self.env.get("CREDENTIALS_DIRECTORY")
        if credentials and "/" not in name and name not in {"", ".", ".."}:
            # as itself, or as a file of a folder, LoadCredential=file:FOLDER
            places[:0] = [Path(credentials) / name, Path(credentials) / f"file_{name}"]
        for place in places:
            try:
                if place.is_file():
                    return place.read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, ValueError) as error:
                raise ValueError(f"can't read file {place}: {_cause(error)}") from None
        looked = " and ".join(map(str, places))
        raise ValueError(f"there is no file for ${{file:{name}}}; looked at {looked}")


def _cause(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else "its name is not valid"
