"""A real browser without a window, driven over its DevTools protocol: opens pages, asks them, takes pictures of them.

The one rule: whatever a page complains of (a script that fails, a policy that forbids, a request that goes elsewhere) is
kept, so that a test can see that there was nothing.
"""

import asyncio
import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from waiting import eventually

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
INSTALL = "apt-get install --no-install-recommends chromium-headless-shell fonts-dejavu-core"
LIMIT = 30.0  # seconds for its start and for each answer
OPTIONS = (
    "--headless",
    "--no-sandbox",  # which root has none of, and what is opened is ours
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


class BrowserUnavailable(Exception):
    """There is none on this machine; the text says what to install."""


def program() -> str:
    """The browser's path. Raises BrowserUnavailable."""
    for name in PROGRAMS:
        if found := shutil.which(name):
            return found
    raise BrowserUnavailable(f"no Chromium found; on Debian: {INSTALL}")


@dataclass
class Page:
    """One page that is open."""

    browser: "Browser"
    session: str
    target: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    async def ask(self, script: str) -> Any:
        """The value of an expression on the page, which may be a promise."""
        told = await self._do("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def until(self, script: str) -> Any:
        """The value of an expression as soon as it is true."""
        return await eventually(lambda: self.ask(script), LIMIT)

    async def text(self, selector: str = "body") -> str:
        """What can be read there."""
        return str(await self.ask(f"document.querySelector({json.dumps(selector)}).innerText"))

    async def colour(self, selector: str, of: str = "backgroundColor") -> str:
        """A colour as it is computed."""
        return str(await self.ask(f"getComputedStyle(document.querySelector({json.dumps(selector)})).{of}"))

    async def picture(self) -> bytes:
        """The window as PNG."""
        told = await self._do("Page.captureScreenshot", format="png", optimizeForSpeed=False)
        return base64.b64decode(told["data"])

    async def resize(self, width: int, height: int) -> None:
        """Another size of the window."""
        await self._do(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    async def _do(self, method: str, **parameters: Any) -> Any:
        return await self.browser.do(method, self.session, **parameters)

    def hear(self, method: str, told: dict[str, Any]) -> None:
        """Keeps what a test may want to know."""
        if method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(told["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.complaints.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])


class Browser:
    """A browser process and the connection to it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._pages: dict[str, Page] = {}

    async def open(self, url: str, scheme: str = "light", size: tuple[int, int] = (1280, 900)) -> Page:
        """A page as somebody sees it who prefers a colour scheme, in a window of a size."""
        target = await self.do("Target.createTarget", url="about:blank")
        attached = await self.do("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = self._pages[attached["sessionId"]] = Page(self, attached["sessionId"], target["targetId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.do(f"{domain}.enable", page.session)
        preferred = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.do("Emulation.setEmulatedMedia", page.session, features=preferred)
        await page.resize(*size)
        await self.do("Page.navigate", page.session, url=url)
        return page

    async def leave(self) -> None:
        """Closes all pages."""
        while self._pages:
            _, page = self._pages.popitem()
            await self.do("Target.closeTarget", targetId=page.target)

    async def do(self, method: str, session: str = "", **parameters: Any) -> Any:
        """One command; returns its answer."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters}
        await self._socket.send_json(message | ({"sessionId": session} if session else {}))
        told = await asyncio.wait_for(answer, LIMIT)
        assert "error" not in told, (method, told["error"])
        return told["result"]

    async def listen(self) -> None:
        """Takes in answers and events until the connection ends."""
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
            elif page := self._pages.get(told.get("sessionId", "")):
                page.hear(told["method"], told["params"])


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """A browser with a profile of its own, ended and forgotten at the end. Raises BrowserUnavailable."""
    command = program()
    async with AsyncExitStack() as opened:
        profile = opened.enter_context(
            tempfile.TemporaryDirectory(prefix="zoe-browser-", ignore_cleanup_errors=True)
        )
        env = {**os.environ, "HOME": profile}
        opened.enter_context(_running([command, *OPTIONS, f"--user-data-dir={profile}"], env))
        address = await eventually(lambda: _address(Path(profile) / "DevToolsActivePort"), LIMIT)
        http = await opened.enter_async_context(aiohttp.ClientSession(trust_env=False))
        browser = Browser(await opened.enter_async_context(http.ws_connect(address, max_msg_size=0)))
        listening = asyncio.create_task(browser.listen())
        try:
            yield browser
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening


@contextmanager
def _running(argv: list[str], env: dict[str, str]) -> Iterator[None]:
    """The browser with all of its processes, which end together."""
    process = subprocess.Popen(
        argv,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _address(told: Path) -> str:
    """Where it can be driven, which it writes into a file as soon as it is up; empty until then."""
    lines = told.read_text().split() if told.exists() else []
    return f"ws://127.0.0.1:{lines[0]}{lines[1]}" if len(lines) == 2 else ""
