"""The words that the tiny models know: 428 whole words, the roles, bytes, and a script's own pieces.

The one rule: each word with its leading space is one token, and its text always becomes that token again. So text cut
anywhere between words continues exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

WORDS = tuple(
    """
a able about above acid across act add after again age air all also an and animal answer any apple arm art
as ask at away baby back ball bank base be bear because bed been before bell best big bird blue boat body
book both box boy bread bridge bright bring brown build but by call can car care cat chair city clean
clear clock cloud coat cold color come cook corn could country cup dark day deep did do dog door down draw
dream dress drink drop dry each ear early earth east eat egg end even every eye face fact fall far farm
fast feel field fill find fine fire first fish five flat floor flower fly follow food foot for form four
free from fruit full game garden gave get give glass go gold good grass great green ground grow had hair
half hand happy hard has have head hear heart help her here high hill him his hold home horse hot hour
house how ice if in inch is island it join jump just keep kind king knee know lake land large last late
laugh lead leaf learn left leg let letter life light like line list little live long look low make man
many map mark may me mean milk mind moon more morning most mother mountain move much music must name near
neck need never new night north not note now of off often oil old on once one only open or orange order
other our out over own page paint paper part pass path peace pen people pepper place plain plant play
point pond poor pull put queen quick quiet rain ran read red rest rice ride right ring river road rock
roof room root rose round run salt same sand saw say sea second see seed seem send set seven shape she
ship shoe short show side silver sing sister six sky sleep slow small snow so soft some song soon south
space stand star start stay step still stone stop story strong such sugar sun sure table tail take talk
tall tell ten than that the then there they thin think this three tie time to too took tooth town train
tree true turn two under until up us use valley very voice wait walk wall warm was watch water wave way we
week well went were west what wheel when where which white who why wide wild will wind window winter with
woman wood word work world write yard year yellow yes yet you young zebra zero
""".split()
)
ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
SPACE = "\u2581"  # how a token spells a space


class TokenKind(IntEnum):
    """What llama.cpp calls a token's type."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    BYTE = 6


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens in the order of their ids, and the ids that the circuit asks for."""

    tokens: tuple[tuple[bytes, TokenKind], ...]
    words: frozenset[int]
    script: tuple[int, ...]
    assistant: int
    unknown: int = 0
    bos: int = 1
    eos: int = 2

    def __len__(self) -> int:
        return len(self.tokens)


def vocabulary(words: Sequence[str], script: Sequence[str]) -> Vocabulary:
    """Returns the tokens for these words, and a token of its own for each piece of the script.

    Raises:
        ValueError: a piece is a token already (a word, a part of one, a letter); servers refuse such a file.
    """
    tokens = [(b"<unk>", TokenKind.UNKNOWN), (b"<s>", TokenKind.CONTROL), (b"</s>", TokenKind.CONTROL)]
    tokens += [(role.encode(), TokenKind.CONTROL) for role in ROLES]
    tokens += [(b"<0x%02X>" % byte, TokenKind.BYTE) for byte in range(256)]
    pieces = dict.fromkeys([SPACE, *map(chr, range(33, 127))])
    for word in words:  # every prefix too: the tokenizer joins pieces two by two, from the left
        pieces.update(dict.fromkeys(SPACE + word[:length] for length in range(1, len(word) + 1)))
    tokens += [(piece.encode(), TokenKind.NORMAL) for piece in pieces]
    first_line = len(tokens)
    tokens += [(line.replace(" ", SPACE).encode(), TokenKind.NORMAL) for line in script]
    ids = {token: number for number, (token, _) in enumerate(tokens)}
    if len(ids) < len(tokens):
        repeated = {text.decode() for number, (text, _) in enumerate(tokens) if ids[text] != number}
        raise ValueError(f"script: tokens already, or twice: {sorted(repeated)}")
    return Vocabulary(
        tokens=tuple(tokens),
        words=frozenset(ids[(SPACE + word).encode()] for word in words),
        script=tuple(range(first_line, len(tokens))),
        assistant=ids[b"<|assistant|>"],
    )
