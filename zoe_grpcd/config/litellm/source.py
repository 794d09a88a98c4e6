"""What the file says, taken piece by piece: whatever nobody takes is listed in the end.

Rule: a note names the place and says what became of it; it never holds a value.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from zoe_grpcd.config.problem import Path

_WHY = {
    "rpm": "a deployment has no rate limit here; auth.keys limit callers, and a 429 sends requests elsewhere",
    "tpm": "a deployment has no rate limit here; auth.keys limit callers, and a 429 sends requests elsewhere",
    "id": "a deployment is named by its backend and its model here",
    "order": "there is no order among deployments here; use weight, or a fallback chain",
    "max_budget": "budgets belong to auth.keys",
    "budget_duration": "budgets belong to auth.keys",
    "content_policy_fallbacks": "what a model refuses is asked of no other one",
    "enable_pre_call_checks": "done always: a prompt that is too long for a model is never sent to it",
    "background_health_checks": "done always: backends are looked at all the time, which costs nothing",
    "health_check_interval": "the backends' probe_interval says how often they are looked at",
    "database_url": "nothing is kept in a database",
    "store_model_in_db": "nothing is kept in a database",
    "include": "is not followed: put the files together first",
    "guardrails": "there are none here",
    "mock_response": "every answer comes from a model",
}
_NONE = "has no counterpart"


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """What is not carried over, or not as it was. `path` is that of the LiteLLM file."""

    path: Path
    message: str


@dataclass(slots=True)
class Part:
    """A mapping of the file."""

    path: Path
    values: dict[str, Any]

    def take(self, key: str, default: Any = None) -> Any:
        """The value, which is no longer left then; an empty one counts as not given."""
        value = self.values.pop(key, None)
        return default if value is None else value

    def text(self, key: str) -> str:
        """The text of that key; empty if it is not given, or is none, which is left then."""
        return str(self.take(key)) if isinstance(self.values.get(key), str) else ""

    def part(self, key: str) -> "Part":
        """The mapping below that key; an empty one if there is none."""
        value = self.take(key)
        if value is not None and not isinstance(value, dict):
            self.values[key] = value  # of another shape: nobody can take it
        return Part((*self.path, key), dict(value) if isinstance(value, dict) else {})

    def rest(self) -> dict[str, Any]:
        """All that is left, which is taken by that."""
        left, self.values = self.values, {}
        return {key: value for key, value in left.items() if value is not None}

    def left(self) -> Iterator[Note]:
        """What nobody took."""
        for key, value in self.values.items():
            if value not in (None, [], {}) and not key.startswith("x-"):  # those hold anchors
                yield Note((*self.path, key), f"{_NONE}: {_WHY[key]}" if key in _WHY else _NONE)


@dataclass(slots=True)
class Findings:
    """What is to be said about the file: notes, and mistakes that leave it unusable."""

    notes: list[Note] = field(default_factory=list)
    mistakes: list[Note] = field(default_factory=list)

    def note(self, path: Path, message: str) -> None:
        """Something is not carried over, or not as it was."""
        self.notes.append(Note(path, message))

    def mistake(self, path: Path, message: str) -> None:
        """Something is no LiteLLM configuration."""
        self.mistakes.append(Note(path, message))
