"""TLS on the addresses with a port: who is let in, under which name, with which certificate, and over a restart."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from certificates import Authority, Pair, channel_credentials, install
from rpc.lives import Life, lived
from waiting import eventually

from zoe_grpcd.rpc import front as fronting
from zoe_grpcd.rpc.callers import Callers
from zoe_grpcd.rpc.certificates import Certificates
from zoe_grpcd.rpc.doors import CannotListen, Doors
from zoe_grpcd.rpc.front import Fronts
from zoe_grpcd.rpc.handover import Handover
from zoe_grpcd.rpc.server import make_server
from zoe_grpcd.tls import Files, Unusable, context_of

Call = Callable[..., Any]
OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.server()


@pytest.fixture
def files(tmp_path: Path, pair: Pair) -> Pair:
    """The daemon's own copies, which a test may replace."""
    own = Pair(tmp_path / "server.pem", tmp_path / "server.key")
    install(pair, own)
    return own


class OverTls(Life):
    """On a TLS address. Its method answers with who called, after `held` is set."""

    def __init__(
        self, files: Pair, authorities: Path | None = None, inherited: socket.socket | None = None
    ) -> None:
        super().__init__()
        self.callers = Callers()
        self.certificates = Certificates(Files(files.cert, files.key, authorities))
        self.fronts = Fronts(self.certificates, self.callers)
        self._doors = Doors([inherited.dup()] if inherited else ())
        self.handover = Handover(self._doors, self.fronts)
        methods: Any = {
            "M": grpc.unary_unary_rpc_method_handler(self._answer),
            "S": grpc.unary_stream_rpc_method_handler(self._stream),
        }
        handler = grpc.method_handlers_generic_handler("t.T", methods)
        self.server = make_server([handler], max_streams=100, max_receive_bytes=1 << 24)
        address = "127.0.0.1:0" if inherited is None else f"127.0.0.1:{inherited.getsockname()[1]}"
        self.address = self.fronts.listen(self.server.add_insecure_port, address, self._doors.give(address))
        self._doors.all_claimed()

    async def _answer(self, request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        self.running += 1
        await self.held.wait()
        self.running -= 1
        return self.callers.who(context.peer()).encode() + request

    async def _stream(self, request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        for _ in range(int(request)):
            await context.write(bytes(1000))


@asynccontextmanager
async def living(
    files: Pair, authorities: Path | None = None, inherited: socket.socket | None = None
) -> AsyncIterator[OverTls]:
    async with lived(OverTls(files, authorities, inherited)) as life:
        yield life
    assert not life.callers._known


@asynccontextmanager
async def calling(address: str, credentials: grpc.ChannelCredentials) -> AsyncIterator[Call]:
    async with grpc.aio.secure_channel(address, credentials, OPTIONS) as channel:
        yield channel.unary_unary("/t.T/M")


async def is_turned_away(address: str, credentials: grpc.ChannelCredentials) -> None:
    async with calling(address, credentials) as call:
        with pytest.raises(grpc.RpcError) as caught:
            await call(b"", timeout=20)
    assert "UNAVAILABLE" in str(caught.value)


async def test_a_stock_client_that_trusts_the_authority_is_served(authority: Authority, files: Pair) -> None:
    async with living(files) as life, calling(life.address, channel_credentials(authority)) as call:
        assert (await call(b"!", timeout=20)).startswith(b"ipv4:127.0.0.1:")


async def test_one_that_does_not_trust_it_is_not(files: Pair, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    async with living(files) as life:
        await is_turned_away(life.address, channel_credentials(other))


async def test_large_messages_and_long_streams_come_whole(authority: Authority, files: Pair) -> None:
    async with (
        living(files) as life,
        grpc.aio.secure_channel(life.address, channel_credentials(authority), OPTIONS) as channel,
    ):
        echo: Call = channel.unary_unary("/t.T/M")
        stream: Call = channel.unary_stream("/t.T/S")
        large = bytes(3 << 20)
        assert (await echo(large, timeout=60)).endswith(large)
        assert sum([len(message) async for message in stream(b"5000", timeout=60)]) == 5_000_000


@pytest.mark.parametrize(
    ("name", "alternatives", "told"),
    [
        ("kitchen", (), "kitchen"),
        ("hall", ("DNS:hall.home", "DNS:other.home"), "hall.home"),
        ("porch", ("URI:spiffe://home/porch",), "spiffe://home/porch"),
        ("cellar", ("IP:192.168.1.9",), "cellar"),
    ],
)
async def test_the_name_in_a_clients_certificate_is_the_caller(
    authority: Authority, files: Pair, name: str, alternatives: tuple[str, ...], told: str
) -> None:
    shown = authority.issue(name, *alternatives)
    async with (
        living(files, authority.file) as life,
        calling(life.address, channel_credentials(authority, shown)) as call,
    ):
        assert await call(b"", timeout=20) == told.encode()


async def test_a_client_needs_a_certificate_of_the_right_authority(
    authority: Authority, files: Pair, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "other").issue("stranger")
    async with living(files, authority.file) as life:
        for shown in (None, stranger):
            await is_turned_away(life.address, channel_credentials(authority, shown))


async def test_new_certificates_are_used_from_the_next_connection_on(
    authority: Authority, files: Pair, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other")
    async with living(files) as life, calling(life.address, channel_credentials(authority)) as old:
        await old(b"", timeout=20)
        install(other.server(), files)
        async with calling(life.address, channel_credentials(other)) as new:
            await new(b"", timeout=20)
        await old(b"", timeout=20)  # its connection goes on


async def test_what_does_not_fit_changes_nothing_and_is_told_once(
    authority: Authority, files: Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = Authority(tmp_path / "other").server()
    async with living(files) as life:
        install(Pair(other.cert, files.key), files)  # a renewal that is half done
        with caplog.at_level(logging.INFO, "zoe_grpcd.rpc.certificates"):
            for _ in range(2):
                async with calling(life.address, channel_credentials(authority)) as call:
                    await call(b"", timeout=20)
            (warning,) = caplog.messages
            install(other, files)
            assert life.certificates.context.verify_mode is ssl.CERT_NONE
            assert caplog.messages[1:] == ["server.tls: new certificates are in use"]
    assert warning.startswith(
        "server.tls.key_file must be the key of the certificate in cert_file; the certificate"
    )


async def test_a_file_that_vanishes_changes_nothing(authority: Authority, files: Pair) -> None:
    async with living(files) as life:
        files.cert.unlink()
        async with calling(life.address, channel_credentials(authority)) as call:
            await call(b"", timeout=20)


@pytest.mark.parametrize(
    ("option", "break_it", "why"),
    [
        (
            "cert_file",
            lambda pair: pair.cert.unlink(),
            "must be a file that can be read: No such file or directory",
        ),
        ("cert_file", lambda pair: pair.cert.write_text("x"), "must be certificates in PEM"),
        (
            "key_file",
            lambda pair: pair.key.write_text("x"),
            "must be a private key in PEM, without a password",
        ),
        ("key_file", lambda pair: pair.key.chmod(0o644), "must be for its owner alone to read: chmod 600"),
    ],
)
def test_what_cannot_be_used_is_named(
    files: Pair, option: str, break_it: Callable[[Pair], None], why: str
) -> None:
    break_it(files)
    with pytest.raises(Unusable, match=why) as caught:
        context_of(Files(files.cert, files.key))
    assert caught.value.option == option


async def first_byte(host: str, port: int, context: ssl.SSLContext) -> bytes:
    """What a server says first. One of HTTP/2 greets its client at once, with a frame of settings."""
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        return await reader.readexactly(1)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def test_who_speaks_http2_over_modern_tls_is_greeted(authority: Authority, files: Pair) -> None:
    context = ssl.create_default_context(cafile=authority.file)
    context.set_alpn_protocols(["h2"])
    async with living(files) as life:
        host, _, port = life.address.rpartition(":")
        assert await asyncio.wait_for(first_byte(host, int(port), context), 20) == b"\x00"


def _old(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_old, id="TLS 1.1"),
        pytest.param(lambda context: context.set_alpn_protocols(["http/1.1"]), id="HTTP/1.1"),
        pytest.param(lambda context: context.set_alpn_protocols([]), id="no ALPN"),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
async def test_only_http2_over_modern_tls_is_spoken(
    authority: Authority, files: Pair, change: Callable[[ssl.SSLContext], None]
) -> None:
    context = ssl.create_default_context(cafile=authority.file)
    context.set_alpn_protocols(["h2"])
    change(context)
    async with living(files) as life:
        host, _, port = life.address.rpartition(":")
        with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
            await asyncio.wait_for(first_byte(host, int(port), context), 20)


async def test_who_never_begins_is_let_go(files: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fronting, "HANDSHAKE", 0.2)
    async with living(files) as life:
        host, _, port = life.address.rpartition(":")
        for said in (b"", b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(said)
            async with asyncio.timeout(20):
                await reader.read()
            writer.close()
            await writer.wait_closed()
        await eventually(lambda: not any(front._serving for front in life.fronts))


async def test_nobody_but_its_own_user_reaches_grpc_around_it(files: Pair) -> None:
    async with living(files) as life:
        (front,) = life.fronts
        path = Path(front.inner.removeprefix("unix:"))
        assert path.is_socket()  # noqa: ASYNC240 - a test may block
        assert path.parent.stat().st_mode & 0o077 == 0
    assert not path.parent.exists()


async def test_an_address_that_is_taken_is_named(files: Pair) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        fronts = Fronts(Certificates(Files(files.cert, files.key)), Callers())
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(CannotListen, match=f"^{address} cannot be listened on: Address already in use"):
            fronts.listen(lambda _: 0, address)


async def test_busy_stock_clients_lose_nothing_over_restarts(authority: Authority, files: Pair) -> None:
    """gRPC's own stop would cancel a call of most of them."""
    stop = asyncio.Event()
    answers = [0] * 8

    async def ask(caller: int, address: str) -> None:
        async with calling(address, channel_credentials(authority)) as call:
            while not stop.is_set():
                await call(b"", timeout=60)
                answers[caller] += 1

    def all_beyond(counts: list[int]) -> bool:
        return all(now > before + 3 for now, before in zip(answers, counts, strict=True))

    with socket.create_server(("127.0.0.1", 0)) as inherited:
        async with asyncio.TaskGroup() as callers:
            for caller in range(len(answers)):
                callers.create_task(ask(caller, f"127.0.0.1:{inherited.getsockname()[1]}"))
            for lives_left in (3, 2, 1, 0):
                async with living(files, inherited=inherited):
                    await eventually(partial(all_beyond, list(answers)), 60)
                    if not lives_left:
                        stop.set()


async def test_a_call_that_runs_at_a_restart_is_finished(authority: Authority, files: Pair) -> None:
    with socket.create_server(("127.0.0.1", 0)) as inherited:
        async with (
            living(files, inherited=inherited) as first,
            calling(first.address, channel_credentials(authority)) as call,
        ):
            first.held.clear()
            running = asyncio.ensure_future(call(b"long", timeout=30))
            await eventually(lambda: first.running, 30)
            ending = asyncio.create_task(first.end())
            first.held.set()
            assert (await running).endswith(b"long")
            await ending
            late = asyncio.ensure_future(call(b"late", timeout=30))  # it waits for the next one
            async with living(files, inherited=inherited):
                assert (await late).endswith(b"late")


def test_every_new_connection_is_answered_on_uvloop_too(authority: Authority, files: Pair) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def ask(address: str) -> None:
        async with calling(address, channel_credentials(authority)) as call:
            await call(b"", timeout=30)

    async def many() -> None:
        async with living(files) as life:
            await asyncio.gather(*(ask(life.address) for _ in range(20)))

    uvloop.run(many())
