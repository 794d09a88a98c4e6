"""What a caller is told of its wait: queued, then waking or loading, then prefilling, and never a step back."""

from dataclasses import replace

from zoe_grpcd.core.domain import Progress

ORDER = ("QUEUED", "WAKING", "LOADING", "PREFILLING")


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
