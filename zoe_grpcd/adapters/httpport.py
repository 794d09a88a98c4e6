"""The HTTP port: /metrics, /healthz, and the pages that others bring. For reading only.

Rule: what listens on loopback answers only to names of loopback, so that no page of the web can read it through a name of
its own that it points here.
"""

import ipaddress
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

UNIX = "unix:"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CLOSING = 1.0  # seconds for the last answers


class CannotServe(OSError):
    """The address is taken, or none of this machine's."""


class HttpPort:
    """Serves GET requests. `pages`: path -> handler."""

    def __init__(self, pages: dict[str, Handler]) -> None:
        self._pages = pages
        self._runner: web.AppRunner | None = None
        self.address = ""

    async def open(self, address: str) -> None:
        """Listens on host:port or unix:/path; `address` is the real one from then on. Raises CannotServe."""
        app = web.Application(middlewares=[_only_known_hosts] if _is_loopback(address) else [])
        app.add_routes(web.get(path, handler) for path, handler in self._pages.items())
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=CLOSING)
        await runner.setup()
        try:
            await _site(runner, address).start()
        except OSError as error:
            await runner.cleanup()
            raise CannotServe(f"{address} cannot be listened on: {error.strerror or error}") from None
        self._runner = runner
        self.address = _bound(runner, address)

    async def close(self) -> None:
        """Ends it."""
        if self._runner is not None:
            await self._runner.cleanup()


def _site(runner: web.AppRunner, address: str) -> web.BaseSite:
    if address.startswith(UNIX):
        path = Path(address.removeprefix(UNIX))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return web.UnixSite(runner, path)
    host, _, port = address.rpartition(":")
    return web.TCPSite(runner, host.strip("[]"), int(port))


def _bound(runner: web.AppRunner, address: str) -> str:
    if address.startswith(UNIX):
        return address
    return f"{address.rpartition(':')[0]}:{runner.addresses[0][1]}"


def _is_loopback(address: str) -> bool:
    return not address.startswith(UNIX) and _names_loopback(address.rpartition(":")[0])


def _names_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@web.middleware
async def _only_known_hosts(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not _names_loopback(request.url.host or ""):
        raise web.HTTPMisdirectedRequest(text="this port answers to names of loopback only\n")
    return await handler(request)


def pages(
    text: Callable[[str], Awaitable[tuple[bytes, str]]], health: Callable[[], tuple[bool, str]]
) -> dict[str, Handler]:
    """/metrics, which is given what a scraper accepts, and /healthz: whether the daemon serves, and that in words."""

    async def metrics(request: web.Request) -> web.Response:
        body, content_type = await text(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def healthz(_request: web.Request) -> web.Response:
        serves, words = health()
        return web.Response(text=f"{words}\n", status=200 if serves else 503)

    return {"/metrics": metrics, "/healthz": healthz}
