"""The part of a message that may tell its intent, and the facts about it.

The rule: quoted text and code blocks are set aside before words are looked at, and what is read is bounded: a text of
a megabyte costs what one of a page does.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from unicodedata import normalize

from zoe_grpcd.core.language import language
from zoe_grpcd.core.phrases import words_of
from zoe_grpcd.core.vocabulary import CLASSES

WINDOW = 500  # characters that are read at most
HEAD, TAIL = 100, 50  # characters that are read of a longer message: what to do stands first, or last
_LONG_PROMPT = 4000  # tokens from which a prompt counts as a document
SHORT_WORDS = 18  # up to which a message is short


@dataclass(frozen=True, slots=True)
class Shape:
    """What a request shows besides its words. `prompt_tokens` is an estimate for the whole prompt."""

    has_image: bool = False
    has_tools: bool = False
    has_context: bool = False
    prompt_tokens: int = 0
    wants_json: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """A message, prepared: `visible` is lower case without quotes and code; `words` are its words, `numbers` how many
    of them are numbers.
    """

    visible: str
    words: Sequence[str]
    numbers: int
    code: bool
    length: int
    shape: Shape


_QUOTED = re.compile(
    r"```[^`]*(?:```|$)|`[^`\n]*`|\"[^\"\n]*\"|“[^”\n]*”|«[^»\n]*»|„[^“”\n]*[“”]|(?<!\w)'[^'\n]{2,}'(?!\w)"
    r"|(?m:^>.*$)"
)
_CODE = (
    "```", "def ", "#include", "public static", "console.log", "SELECT ", "import numpy", "import pandas", "</div>",
    "Traceback (", "();", "self.", "function(", "fn main", "#!/", "=> {", "std::", "System.out", "<?php", "printf(",
    "println", "lambda ", "List[", "const ", "return ", "import ", "print(", "!= ", "== ", "&& ", "};", "{\n", "):\n",
    "+=", "](", "()", "= [", "= {", "; print", "[i]", "->", "__",
)  # fmt: skip
_CODE_HINT = re.compile(r"[()<=>`#{\[;]")
_NUMBER = re.compile(r"\d[\d.,:]*")
_SPELLED = CLASSES["number"]
_MAY_QUOTE = re.compile("[`\"“«„'>]")


def read(text: str, shape: Shape) -> Reading:
    """The part of a message that may tell its intent."""
    ends = text if len(text) <= WINDOW else f"{text[: 2 * HEAD]}\n{text[-2 * TAIL :]}"
    visible = _QUOTED.sub(" quoted ", ends.replace("’", "'")) if _MAY_QUOTE.search(ends) else ends
    if len(text) > WINDOW:
        visible = f"{visible[:HEAD]}\n{visible[-TAIL:]}"
    visible = visible.replace("’", "'").lower().replace("tl;dr", "tldr")
    if (
        not visible.isascii()
    ):  # one code point a letter; the dot is what lower() leaves of a Turkish capital I
        visible = normalize("NFC", visible.replace("i\u0307", "i"))
    words = words_of(visible)
    code = bool(_CODE_HINT.search(ends)) and _shows_code(ends)
    numbers = len(_NUMBER.findall(visible)) + len(_SPELLED.intersection(words))
    return Reading(visible, words, numbers, code, len(text), shape)


def _shows_code(text: str) -> bool:
    """Two marks of code, looked for until they are found."""
    marks = filter(text.__contains__, _CODE)
    return next(marks, "") != "" and next(marks, "") != ""


_MATH_HINT = re.compile(r"[*/×÷^+=\\$√∫∑π²³≤≥(-]")
_MATH = re.compile(
    r"[\dx)]\s?[*/×÷^]\s?[(\dxyn]|\d\s?[+=]\s?[\dxyn]|[\dxyabn)]\s?[+=-]\s?\d|[a-z]\^|\\(?:frac|sqrt|sum|int|cdot|times|begin)"
    r"|\$[^$\n]*[\\^_=][^$\n]*\$|[a-z]\([a-z]\)|[√∫∑π²³≤≥]"
)
_PERCENT = re.compile(r"\d\s?%\s+(?:of|off|tip|discount)\b")
_ASKS = frozenset(
    "what how why when where who which whose is are do does did can could should would will has have".split()
)
_COMMANDS = frozenset(
    """write make give tell find show explain describe list create add set turn play name identify generate solve
    calculate compute suggest compare classify extract determine provide help state use convert rewrite choose""".split()
)


def _is_formula(reading: Reading) -> bool:
    return bool(not reading.code and _MATH_HINT.search(reading.visible) and _MATH.search(reading.visible))


def _is_question(reading: Reading) -> bool:
    first = reading.words[0] if reading.words else ""
    return "?" in reading.visible or (first in _ASKS and "not" not in reading.words[1:2])


def _is_story(reading: Reading) -> bool:
    """Sentences with numbers about people and things, before a question."""
    if reading.numbers < 1 or len(reading.words) < 14:
        return False
    return sum(map(reading.words.count, ".,!?")) >= 2


def _ends_with_question(reading: Reading) -> bool:
    """A text of some length with a question below it."""
    if reading.code or reading.length <= WINDOW or not reading.visible.rstrip().endswith("?"):
        return False
    last = words_of(reading.visible.rstrip(" ?\n").rsplit("\n", 1)[-1])
    return bool(_ASKS.intersection(last[:4])) and not _ASKS.intersection(reading.words[:2])


FACTS: Mapping[str, tuple[str, Callable[[Reading], bool]]] = {
    "@image": ("an image is attached", lambda r: r.shape.has_image),
    "@tools": ("tools are given", lambda r: r.shape.has_tools),
    "@context": ("context is given", lambda r: r.shape.has_context),
    "@json": ("JSON is wanted", lambda r: r.shape.wants_json),
    "@long": ("the prompt is long", lambda r: r.shape.prompt_tokens > _LONG_PROMPT or r.length > WINDOW),
    "@code": ("it shows code", lambda r: r.code),
    "@math": ("it shows a formula", _is_formula),
    "@closing": ("a question ends a long text", _ends_with_question),
    "@percent": ("it asks for a percentage", lambda r: "%" in r.visible and bool(_PERCENT.search(r.visible))),
    "@number": ("it has a number", lambda r: r.numbers >= 1),
    "@numbers": ("it has numbers", lambda r: r.numbers >= 2),
    "@foreign": ("it is not English", lambda r: language(r.visible, r.words) != "en"),
    "@question": ("it is a question", _is_question),
    "@statement": ("it asks nothing", lambda r: not _is_question(r)),
    "@narrative": ("it tells a story with numbers", _is_story),
    "@imperative": ("it begins with a command", lambda r: bool(r.words) and r.words[0] in _COMMANDS),
    "@list": ("it lists things", lambda r: r.words.count(",") >= 1 or "or" in r.words),
    "@short": ("it is short", lambda r: len(r.words) <= SHORT_WORDS),
    "@tiny": ("it is very short", lambda r: len(r.words) <= 6),
}
"""Facts that signs may name: what `Verdict.signs` calls them, and how they are found."""
