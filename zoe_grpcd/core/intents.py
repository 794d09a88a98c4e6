"""What a request may be about, and what follows from it: the intents that ship with the daemon, and their editing.

The rule: an intent is data. A classifier reads its signs, patterns and examples; the resolver reads what it wants.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from zoe_grpcd.core.signs import (
    Table,
    action,
    chat,
    classification,
    code,
    creative,
    explain,
    memory,
    rag,
    reasoning,
    status,
    summarize,
    translate,
)

CHAT = "chat"
"""The intent of everything that shows no sign of another one; it cannot be disabled."""

FAVOURS = ("latency", "quality", "context")

_STATED = 6.0  # weight of an operator's keyword or pattern: above what shipped words add up to, below an image or tools


@dataclass(frozen=True, slots=True)
class Intent:
    """One kind of request.

    Attributes:
        name: as in `AutoTarget.intent` and in decisions.
        signs: phrases in the notation of `core.phrases`, each with its weight (> 0).
        patterns: regular expressions on the message in lower case, each with its weight. Searched in at most
            `reading.WINDOW` characters.
        examples: messages of the operator that are typical of it, for a classifier that compares meanings.
        required: capabilities without which a model cannot do it ("vision", "tools").
        binding: `required` is the operator's word, which holds where the intent is read from the message, too; what
            ships is only preferred then, since the reading may be wrong.
        preferred: capabilities that make a model better at it ("code", "reasoning", "multilingual", "chat").
        favours: what counts most among capable models: "latency", "quality" or "context" (a large window).
        sampling: defaults by their contract names (temperature, top_p ...), for what the caller left unset.
        max_output_tokens: default limit of the answer; None: none.
        system_prompt: sent where the caller sends no system message; empty: none.
        model: always this model; empty: the best candidate.
        strategy: a strategy's name in place of the global one; empty: the global one.
    """

    name: str
    signs: Mapping[str, float] = field(default_factory=dict)
    patterns: Mapping[str, float] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    required: frozenset[str] = frozenset()
    binding: bool = False
    preferred: frozenset[str] = frozenset()
    favours: str = "latency"
    sampling: Mapping[str, float] = field(default_factory=dict)
    max_output_tokens: int | None = None
    system_prompt: str = ""
    model: str = ""
    strategy: str = ""


def _phrases(table: Table) -> dict[str, float]:
    return {
        line.strip(): weight for weight, lines in table.items() for line in lines.splitlines() if line.strip()
    }


def _wants(*capabilities: str) -> frozenset[str]:
    return frozenset(capabilities)


SHIPPED: tuple[Intent, ...] = (
    Intent(
        "vision",
        {"@image": 12.0},
        required=_wants("vision"),
        favours="quality",
    ),
    Intent(
        "action",
        _phrases(action.SIGNS),
        required=_wants("tools"),
        sampling={"temperature": 0.6},
    ),
    Intent(
        "memory",
        _phrases(memory.SIGNS),
        preferred=_wants("memory"),
        favours="context",
        sampling={"temperature": 0.7},
    ),
    Intent(
        "code",
        _phrases(code.SIGNS),
        preferred=_wants("code"),
        favours="quality",
        sampling={"temperature": 0.0},
    ),
    Intent(
        "rag",
        _phrases(rag.SIGNS),
        favours="context",
        sampling={"temperature": 0.0},
    ),
    Intent(
        "summarize",
        _phrases(summarize.SIGNS),
        favours="context",
        sampling={"temperature": 0.2},
    ),
    Intent(
        "translate",
        _phrases(translate.SIGNS),
        preferred=_wants("multilingual"),
        favours="quality",
        sampling={"temperature": 0.2},
    ),
    Intent(
        "multilingual",
        {"@foreign": 2.8},
        preferred=_wants("multilingual"),
        favours="quality",
        sampling={"temperature": 0.2},
    ),
    Intent(
        "creative",
        _phrases(creative.SIGNS),
        preferred=_wants("creative"),
        favours="quality",
        sampling={"temperature": 0.8},
    ),
    Intent(
        "reasoning",
        _phrases(reasoning.SIGNS),
        preferred=_wants("reasoning"),
        favours="quality",
        sampling={"temperature": 0.2},
    ),
    Intent(
        "explain",
        _phrases(explain.SIGNS),
        favours="quality",
        sampling={"temperature": 0.2},
    ),
    Intent(
        "classification",
        _phrases(classification.SIGNS),
        sampling={"temperature": 0.0},
        max_output_tokens=256,  # a label, not an essay
    ),
    Intent(
        "status",
        _phrases(status.SIGNS),
        sampling={"temperature": 0.0},
        max_output_tokens=64,
    ),
    Intent(
        CHAT,
        _phrases(chat.SIGNS),
        preferred=_wants("chat"),
        sampling={"temperature": 0.7},
    ),
)

_SAMPLING = frozenset(
    "temperature top_p min_p top_k frequency_penalty presence_penalty repetition_penalty seed".split()
)
_WORDS = frozenset(("model", "strategy", "system_prompt", "favours"))
_EDITS = frozenset(
    ("keywords", "patterns", "examples", "required", "preferred", "enabled", "max_output_tokens")
)
FIELDS: frozenset[str] = _SAMPLING | _WORDS | _EDITS
"""Keys that an entry of `routing.intents` may have."""


def configured(
    entries: Mapping[str, Mapping[str, Any]], shipped: Sequence[Intent] = SHIPPED
) -> tuple[Intent, ...]:
    """The shipped intents as `routing.intents` of the config edits them, new ones behind them.

    An entry changes the fields that it names. Keywords, patterns and examples are added to the shipped ones; a
    keyword is a phrase in the notation of `core.phrases`. `enabled: false` removes an intent. Values are taken to
    have the right types; what only meaning can tell wrong (an unknown key, a bad phrase or pattern when the
    classifier is built) raises ValueError.
    """
    known = {intent.name: intent for intent in shipped}
    for name, entry in entries.items():
        unknown = sorted(entry.keys() - FIELDS)
        if unknown:
            raise ValueError(
                f"intents.{name}: unknown {', '.join(unknown)}; there are {', '.join(sorted(FIELDS))}"
            )
        if not entry.get("enabled", True):
            if name == CHAT:
                raise ValueError(
                    f"intents.{CHAT}: cannot be disabled, since it takes what no other intent does"
                )
            known.pop(name, None)
            continue
        known[name] = _edited(known.get(name, Intent(name)), entry)
    return tuple(known.values())


def _edited(intent: Intent, entry: Mapping[str, Any]) -> Intent:
    if entry.get("favours", intent.favours) not in FAVOURS:
        raise ValueError(
            f"intents.{intent.name}.favours: {entry['favours']!r} is none of {', '.join(FAVOURS)}"
        )
    changes: dict[str, Any] = {key: entry[key] for key in _WORDS | {"max_output_tokens"} if key in entry}
    changes |= {key: frozenset(entry[key]) for key in ("required", "preferred") if key in entry}
    return replace(
        intent,
        binding="required" in entry or intent.binding,
        signs={**intent.signs, **dict.fromkeys(map(str.lower, entry.get("keywords", ())), _STATED)},
        patterns={**intent.patterns, **dict.fromkeys(entry.get("patterns", ()), _STATED)},
        examples=(*intent.examples, *entry.get("examples", ())),
        sampling={**intent.sampling, **{key: entry[key] for key in _SAMPLING if key in entry}},
        **changes,
    )
