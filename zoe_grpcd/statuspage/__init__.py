"""The status page for the browser: one page and the JSON that it shows, for reading only.

Rule: names and numbers, never a prompt, an answer, a key or a sentence that quotes one; and the page may run and load
nothing but what came with it, so that no name that a server made up can do anything.
"""

import base64
import hashlib
import re
import time
from collections.abc import Awaitable, Callable
from importlib.resources import files

from aiohttp import web

from zoe_grpcd import __version__
from zoe_grpcd.decisions import DecisionLog
from zoe_grpcd.statuspage.history import History
from zoe_grpcd.statuspage.picture import Reports, pictured

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
DECISIONS = 40


class StatusPage:
    """`reports`: every backend as it is now; `log`: the last requests and what was counted of all."""

    def __init__(self, reports: Reports, log: DecisionLog) -> None:
        self._started = time.time()
        self._reports = reports
        self._log = log
        self._history = History(log.statistics)
        self._html = files(__name__).joinpath("page.html").read_text(encoding="utf-8")
        self._headers = {
            "Content-Security-Policy": policy(self._html),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    def pages(self) -> dict[str, Handler]:
        """Path -> handler."""
        return {"/": self._page, "/status.json": self._picture}

    async def _page(self, _request: web.Request) -> web.Response:
        return web.Response(text=self._html, content_type="text/html", headers=self._headers)

    async def _picture(self, _request: web.Request) -> web.Response:
        """The same for everybody who may see it at all."""
        statistics, now = self._log.statistics, self._log.now()
        picture = pictured(self._reports(), self._log.newest_first()[:DECISIONS], now, time.time())
        picture |= {
            "version": __version__,
            "started": self._started,
            "minute": self._history.of(statistics.last(60.0, now)),
            "hour": [minute async for minute in self._history.minutes(now)],
        }
        return web.json_response(picture, headers=self._headers)


def policy(html: str) -> str:
    """The Content-Security-Policy under which the page's own style and script run, and nothing else."""
    sources = [f"{kind}-src {_hash(html, tag)}" for kind, tag in (("style", "style"), ("script", "script"))]
    return "; ".join(
        (
            "default-src 'none'",
            *sources,
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _hash(html: str, tag: str) -> str:
    inside = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    digests = (hashlib.sha256(text.encode()).digest() for text in inside)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
