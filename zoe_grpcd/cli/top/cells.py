"""Text in the cells of a terminal: how wide it is, and how it is made to fit.

Rule: what others wrote passes `clean` before it is shown, so that no name can move the cursor or hide what follows.
"""

import unicodedata


def clean(text: str) -> str:
    """The text on one line; what does not print (control characters, changes of direction) is a question mark."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def width(text: str) -> int:
    """Cells that a printable text takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fit(text: str, cells: int, *, right: bool = False) -> str:
    """The text in exactly so many cells: filled up with spaces, or cut with an ellipsis."""
    text = cut(text, cells)
    space = " " * (cells - width(text))
    return space + text if right else text + space


def cut(text: str, cells: int) -> str:
    """The text in at most so many cells."""
    if width(text) <= cells:
        return text
    kept, room = "", cells - 1
    for character in text:
        room -= _cells(character)
        if room < 0:
            break
        kept += character
    return f"{kept}…" if cells > 0 else ""
