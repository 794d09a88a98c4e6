"""What a caller is told of its wait: queued, then waking or loading, then prefilling, and never a step back."""

from dataclasses import dataclass, replace

ORDER = ("QUEUED", "WAKING", "LOADING", "PREFILLING")


@dataclass(slots=True)
class Progress:
    """What a request waits for before its first token. `state` is QUEUED, WAKING, LOADING or PREFILLING.

    `expected_wait`: seconds to the first token; None: not known. `ahead`: requests before it in the queue. `fraction` of
    the state that is done, 0..1; 0: not known.
    """

    state: str
    expected_wait: float | None
    ahead: int = 0
    fraction: float = 0.0


def no_further_back(news: Progress, told: Progress) -> Progress:
    """What is new, as far as it is no step back from what was told."""
    if ORDER.index(news.state) < ORDER.index(told.state):
        return told
    return replace(
        news,
        ahead=min(news.ahead, told.ahead),
        expected_wait=min(news.expected_wait or 0.0, told.expected_wait or 0.0),
        fraction=max(news.fraction, told.fraction if told.state == news.state else 0.0),
    )
