"""StateStore that keeps nothing over a restart. One rule: it behaves as the others do, as long as the daemon runs."""

from collections import defaultdict


class MemoryStore:
    """A StateStore in memory."""

    def __init__(self) -> None:
        self._texts: dict[str, dict[str, str]] = defaultdict(dict)

    def read(self, kind: str) -> dict[str, str]:
        """See StateStore."""
        return dict(self._texts[kind])

    def put(self, kind: str, key: str, text: str) -> None:
        """See StateStore."""
        self._texts[kind][key] = text

    def drop(self, kind: str, key: str) -> None:
        """See StateStore."""
        self._texts[kind].pop(key, None)

    async def close(self) -> None:
        """See StateStore."""
