"""The status page in a real browser, before a real daemon and a real server."""

import json
import os
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from browser import Browser, BrowserUnavailable, Page, browsing, program
from rpc.stage import staged
from statuspage.pages import page_of
from top.world import HOSTILE, World

from zoe_grpcd.adapters.httpport import HttpPort
from zoe_grpcd.localbackends.servers import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")
DRAWN = "document.querySelectorAll('#charts svg').length === 4"
WHITE, NEARLY_BLACK = "rgb(255, 255, 255)", "rgb(23, 27, 33)"


@pytest.fixture(name="url")
def _url(world: World) -> str:
    return world.page


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _browser() -> AsyncIterator[Browser]:
    try:
        program()
    except BrowserUnavailable as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))
    async with browsing() as browser:
        yield browser


@pytest_asyncio.fixture(name="browser", loop_scope="module")
async def _without_pages(_browser: Browser) -> AsyncIterator[Browser]:
    yield _browser
    await _browser.leave()


async def opened(browser: Browser, url: str, **how: Any) -> Page:
    page = await browser.open(url, **how)
    await page.until(DRAWN)
    return page


async def test_no_name_becomes_markup_and_nothing_complains(browser: Browser, world: World) -> None:
    page = await opened(browser, world.page)
    assert HOSTILE in await page.text("#backends")
    assert HOSTILE in await page.ask("document.querySelector('#decisions').textContent")
    assert await page.ask("document.title") == "zoe-grpcd"
    assert await page.ask("document.querySelectorAll('img').length") == 0
    assert page.complaints == []
    requests = {request.removeprefix(world.page) for request in page.requests if request[:5] != "data:"}
    assert requests == {"", "status.json"}


async def test_what_a_name_could_do_the_policy_forbids(browser: Browser, url: str) -> None:
    page = await opened(browser, url)
    await page.ask(f"document.body.insertAdjacentHTML('beforeend', {json.dumps(HOSTILE)})")
    await page.until("document.querySelectorAll('img').length === 1")
    await page.ask("fetch('http://127.0.0.1:9/').catch(() => 0)")
    assert await page.ask("document.title") == "zoe-grpcd"
    assert any("Content Security Policy" in complaint for complaint in page.complaints)


@pytest.mark.parametrize(("scheme", "card"), [("light", WHITE), ("dark", NEARLY_BLACK)])
async def test_the_page_is_as_light_or_dark_as_wanted_and_can_be_read(
    browser: Browser, url: str, scheme: str, card: str
) -> None:
    page = await opened(browser, url, scheme=scheme)
    assert await page.colour(".card") == card
    for selector in (
        "body",
        "#backends td.wide",
        "#about",
        "#ready",
        "#backends .state",
        ".chip .soft, .soft",
    ):
        assert contrast(await page.colour(selector, of="color"), card) >= 4.5, selector
    assert len(await page.picture()) > 10_000


def contrast(one: str, other: str) -> float:
    """Of two colours, as the Web Content Accessibility Guidelines 2.1 define it; 4.5 is their level AA."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(part) / 255 for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


async def test_a_curve_has_a_gap_where_nothing_is_known_and_a_lone_minute_is_a_dash(
    browser: Browser, url: str
) -> None:
    page = await opened(browser, url)
    known = "[1, 2, null, 4, null], 4, 40, 8"
    assert await page.ask(f"line({known})") == "M0.0,6.0L10.0,4.0M30.0,0.0m-2,0h4"
    assert await page.ask(f"area({known})") == "M0.0,8L0.0,6.0L10.0,4.0L10.0,8ZM30.0,8L30.0,0.0L30.0,8Z"
    assert await page.ask("line([null], 1) + area([null], 1)") == ""


@pytest.mark.parametrize("width", [380, 1280, 2200])
async def test_the_page_is_as_wide_as_its_window(browser: Browser, url: str, width: int) -> None:
    page = await opened(browser, url, size=(width, 900))
    assert await page.ask("document.documentElement.scrollWidth") <= width


async def test_the_page_shows_the_fleet_and_its_decisions(browser: Browser, url: str) -> None:
    page = await opened(browser, url)
    await page.until("document.querySelector('header').innerText.includes('2 of 3 backends ready')")
    backends, decisions = [await page.text(selector) for selector in ("#backends", "#decisions")]
    assert "jetson llamacpp" in backends
    assert "connection refused" in backends
    assert "creative" in decisions
    assert "no healthy backend" in decisions
    assert (await page.text("#figures")).count("\n") >= 6
    # a minute has to have begun well, which it has done meanwhile
    await page.until("document.querySelectorAll('#charts rect.bar').length > 0")


async def test_the_page_follows_the_daemon_and_says_when_it_is_gone(browser: Browser) -> None:
    """A server of the test's own in place of the daemon, so that it can go."""
    async with staged() as stage:
        port = HttpPort(page_of(stage).pages())
        await port.open(f"127.0.0.1:{free_port()}")
        address = port.address
        page = await opened(browser, f"http://{address}/")
        assert "No request yet" in await page.text("#decisions")
        await port.close()
        await page.until("document.getElementById('stale').textContent.includes('trying again')")
        again = HttpPort(page_of(stage).pages())
        await again.open(address)
        await page.until("document.getElementById('stale').textContent === ''")
        await again.close()


async def test_the_page_is_small(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(url) as reply:
        assert len(await reply.read()) < 30_000
