"""Whether an answer looks wrong though nothing failed: empty, garbled, the same again and again, or without end.

Rule: a sign only, which is held against its deployment (`core.breaker`). The caller gets the answer as it is, who may
have asked for just that; but one without end is ended.
"""

from zoe_grpcd.core.answer import FinishReason
from zoe_grpcd.core.transcript import Transcript

GARBLED = "\ufffd"  # what stands for bytes that are no UTF-8
TAIL, LONGEST_PERIOD = (
    240,
    60,
)  # characters: how much of an answer is the same piece again, of at most that length
# Tokens of a window that nobody tells of: the largest that is common.
USUAL_WINDOW = 131_072


def end_of(limit: int | None, window: int) -> int:
    """Tokens beyond which an answer is taken to have no end: twice its limit, else twice the window (0: not known).

    A server may count in another way than we do, and one that forgets the beginning may write on past its window.
    """
    return 2 * (limit or window or USUAL_WINDOW) + 32


def looks_wrong(transcript: Transcript) -> bool:
    """Of an attempt that has had its proper end, or was given one."""
    assert transcript.finish is not None
    if transcript.said > transcript.end:
        return True
    if transcript.finish.reason is FinishReason.STOP and is_empty(transcript):
        return True
    text = "".join(transcript.texts)
    if GARBLED in text.rstrip(GARBLED):  # at the end, a limit may have cut a character in two
        return True
    return transcript.finish.reason is FinishReason.LENGTH and repeats(text)


def is_empty(transcript: Transcript) -> bool:
    """Nothing at all was said, though nothing had been said before."""
    said = any(transcript.texts) or any(transcript.thoughts) or transcript.called or transcript.refused
    return not (said or transcript.kept.begun)


def repeats(text: str) -> bool:
    """It ends with the same short piece again and again."""
    tail = text[-TAIL:]
    if len(tail) < TAIL:
        return False
    return any(tail[period:] == tail[:-period] for period in range(1, LONGEST_PERIOD + 1))
