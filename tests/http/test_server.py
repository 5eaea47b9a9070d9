"""`rooms.http.server`: HTTP/1.1 on given streams, each connection for itself."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from quart import request
from quart_trio import QuartTrio
from structlog.testing import capture_logs

from rooms.http.connection import GOODBYE_SECONDS, WRITE_SECONDS, Http1Server, http_config
from rooms.http.server import HttpServer, open_http

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
LAST_GET = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
CONNECT = b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"


class FakeSocket:
    """What Hypercorn asks of a socket."""

    family = socket.AF_INET

    def getpeername(self) -> tuple[str, int]:
        return "127.0.0.1", 50000

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 8000


class Half(trio.abc.HalfCloseableStream):
    """The server's end of a connection in memory."""

    def __init__(self, inner: trio.StapledStream[Any, Any]) -> None:
        self.inner = inner
        self.socket = FakeSocket()
        self.closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.inner.receive_some(max_bytes)

    async def send_eof(self) -> None:
        await self.inner.send_eof()

    async def aclose(self) -> None:
        self.closed = True
        await self.inner.aclose()


class OverTls(Half):
    """The same, as it looks over TLS to a peer that would rather speak HTTP/2."""

    def __init__(self, inner: trio.StapledStream[Any, Any]) -> None:
        super().__init__(inner)
        self.transport_stream = Half(inner)
        del self.socket

    async def do_handshake(self) -> None:
        raise AssertionError("the handshake is over")

    def selected_alpn_protocol(self) -> str:
        return "h2"


class Client:
    """The browser's end of a connection in memory."""

    def __init__(self, stream: trio.StapledStream[Any, Any], server_side: Half) -> None:
        self.stream = stream
        self.server_side = server_side

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def read_until(self, end: bytes) -> bytes:
        seen = bytearray()
        while not seen.endswith(end):
            data = await self.stream.receive_some()
            assert data, f"the connection ended after {bytes(seen)!r}"
            seen += data
        return bytes(seen)

    async def read_all(self) -> bytes:
        seen = bytearray()
        while data := await self.stream.receive_some():
            seen += data
        return bytes(seen)


class Ground:
    """A server and the nursery in which its connections run."""

    def __init__(self, server: HttpServer, nursery: trio.Nursery) -> None:
        self.server = server
        self.nursery = nursery

    def connect(self, kind: Callable[[trio.StapledStream[Any, Any]], Half] = Half) -> Client:
        ours, theirs = trio.testing.memory_stream_pair()
        side = kind(theirs)
        self.nursery.start_soon(self.server.handle, side)
        return Client(ours, side)


@asynccontextmanager
async def ground(app: Any, **options: Any) -> AsyncIterator[Ground]:
    async with open_http(app, **options) as server, trio.open_nursery() as nursery:
        yield Ground(server, nursery)
        nursery.cancel_scope.cancel()


def hello_app() -> QuartTrio:
    app = QuartTrio("hello")
    app.config["MAX_CONTENT_LENGTH"] = 100

    @app.get("/")
    async def hello() -> str:
        return "hello"

    @app.get("/for-ever")
    async def for_ever() -> str:
        await trio.Event().wait()
        return ""

    @app.get("/big")
    async def big() -> bytes:
        return bytes(1_000_000)

    @app.get("/scheme")
    async def scheme() -> str:
        return request.scheme

    @app.post("/length")
    async def length() -> str:
        return str(len(await request.get_data(as_text=False)))

    return app


async def plain_app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"plain"})


async def test_requests_are_answered_one_after_the_other_on_one_connection() -> None:
    async with ground(hello_app()) as place:
        client = place.connect()
        for _ in range(3):
            await client.send(GET)
            answer = await client.read_until(b"hello")
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"\r\nserver:" not in answer.lower()


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with ground(hello_app()) as place:
        client = place.connect()
        await client.send(GET + GET + LAST_GET)
        assert (await client.read_all()).count(b"\r\n\r\nhello") == 3


async def test_a_connection_is_closed_and_forgotten_after_its_last_answer() -> None:
    async with ground(hello_app()) as place:
        client = place.connect()
        await trio.testing.wait_all_tasks_blocked()
        assert place.server.connections == 1
        await client.send(LAST_GET)
        await client.read_all()
        await trio.testing.wait_all_tasks_blocked()
        assert place.server.connections == 0
        assert client.server_side.closed


async def test_an_idle_connection_is_closed_after_the_keep_alive(autojump_clock: Any) -> None:
    async with ground(hello_app(), keep_alive=20) as place:
        client = place.connect()
        await client.send(GET)
        await client.read_until(b"hello")
        start = trio.current_time()
        assert await client.read_all() == b""
        assert trio.current_time() - start == pytest.approx(20, abs=0.1)


async def test_a_connection_that_sends_nothing_is_closed_too(autojump_clock: Any) -> None:
    async with ground(hello_app(), keep_alive=20) as place:
        assert await place.connect().read_all() == b""


async def test_an_upgrade_is_ignored(autojump_clock: Any) -> None:
    upgrade = GET[:-2] + b"connection: upgrade\r\nupgrade: %b\r\n"
    websocket = b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    async with ground(hello_app()) as place:
        client = place.connect()
        for head in (upgrade % b"h2c", upgrade % b"websocket" + websocket):
            await client.send(head + b"\r\n")
            assert (await client.read_until(b"hello")).startswith(b"HTTP/1.1 200 ")
        await client.send(GET)
        await client.read_until(b"hello")


async def test_http_2_with_prior_knowledge_is_refused(autojump_clock: Any) -> None:
    async with ground(hello_app()) as place:
        client = place.connect()
        await client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert (await client.read_all()).startswith(b"HTTP/1.1 505 ")


async def test_over_tls_the_scheme_is_https_and_the_protocol_http_1() -> None:
    async with ground(hello_app(), tls=True) as place:
        client = place.connect(OverTls)
        await client.send(LAST_GET.replace(b"/ ", b"/scheme "))
        assert (await client.read_all()).endswith(b"\r\n\r\nhttps")


@pytest.mark.parametrize(
    "target", [b"?x", b"*", b"http://[::1/x", b"http://x", b"//", b"/%00", b"x:1"]
)
async def test_an_odd_target_gets_an_answer(target: bytes) -> None:
    with capture_logs() as logs:
        async with ground(hello_app()) as place:
            client = place.connect()
            await client.send(LAST_GET.replace(b"/ ", target + b" "))
            assert (await client.read_all()).startswith((b"HTTP/1.1 200", b"HTTP/1.1 404"))
    assert logs == []


async def test_an_absolute_target_is_taken_by_its_path() -> None:
    async with ground(hello_app()) as place:
        client = place.connect()
        await client.send(LAST_GET.replace(b"/ ", b"http://x/scheme "))
        assert (await client.read_all()).endswith(b"\r\n\r\nhttp")


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 9000,
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_junk_ends_its_connection_and_no_other(junk: bytes, autojump_clock: Any) -> None:
    async with ground(hello_app()) as place:
        good, bad = place.connect(), place.connect()
        await bad.send(junk)
        assert (await bad.read_all())[:10] in (b"HTTP/1.1 4", b"")
        await good.send(LAST_GET)
        assert (await good.read_all()).endswith(b"hello")


async def test_what_an_application_raises_is_logged_and_answered_with_500() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("broken")

    with capture_logs() as logs:
        async with ground(app) as place:
            client = place.connect()
            await client.send(LAST_GET)
            assert (await client.read_all()).startswith(b"HTTP/1.1 500 ")
    assert [entry["event"] for entry in logs] == ["http_request_failed"]


async def test_a_body_that_nobody_reads_does_not_hold_the_connection(autojump_clock: Any) -> None:
    head = b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\n"
    async with ground(hello_app()) as place:
        client = place.connect()
        await client.send(head + bytes(3_000_000))
        assert (await client.read_all()).startswith(b"HTTP/1.1 404 ")
        await trio.sleep(GOODBYE_SECONDS)
        await trio.testing.wait_all_tasks_blocked()
        assert place.server.connections == 0


async def test_a_client_that_is_still_sending_can_read_why_it_was_refused() -> None:
    head = b"POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 3000000\r\n\r\n"
    async with open_http(hello_app()) as server, trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, server.handle, [listener])
        port = listener.socket.getsockname()[1]
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(head)
            for _ in range(30):
                await stream.send_all(bytes(100_000))
            answer = await stream.receive_some()
        assert answer.startswith(b"HTTP/1.1 413 ")
        nursery.cancel_scope.cancel()


async def test_a_client_that_does_not_read_is_cut_off(autojump_clock: Any) -> None:
    async with ground(hello_app()) as place:
        ours, theirs = trio.testing.lockstep_stream_pair()
        side = Half(theirs)
        place.nursery.start_soon(place.server.handle, side)
        await ours.send_all(GET.replace(b"/ ", b"/big "))
        await trio.sleep(WRITE_SECONDS + 1)
        assert side.closed
        assert place.server.connections == 0


async def test_a_request_ends_when_its_client_goes(autojump_clock: Any) -> None:
    async with ground(hello_app()) as place:
        client = place.connect()
        await client.send(GET.replace(b"/ ", b"/for-ever "))
        await trio.testing.wait_all_tasks_blocked()
        await client.stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert place.server.connections == 0


async def test_a_connection_ends_when_its_client_goes_between_requests() -> None:
    async with ground(hello_app()) as place:
        client = place.connect()
        await client.send(GET)
        await client.read_until(b"hello")
        await trio.testing.wait_all_tasks_blocked()
        await client.stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert place.server.connections == 0


@pytest.mark.parametrize("head", [CONNECT, UPGRADE])
async def test_a_connection_ends_when_its_client_goes_after(head: bytes) -> None:
    async with ground(hello_app()) as place:
        client = place.connect()
        await client.send(GET + head)
        await client.read_until(b"\r\n\r\nhello")
        await client.stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert place.server.connections == 0


async def test_a_reader_that_waits_for_an_answer_ends_with_the_failed_write() -> None:
    async with ground(hello_app()) as place:
        client = place.connect()
        await client.send(GET + GET.replace(b"/ ", b"/big ") + GET)
        await client.stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert place.server.connections == 0


async def test_a_failure_after_the_client_has_gone_is_nobodys_business() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while scope["type"] == "http" and (await receive())["type"] != "http.disconnect":
            pass
        raise RuntimeError("nobody listens")

    with capture_logs() as logs:
        async with ground(app) as place:
            client = place.connect()
            await client.send(GET)
            await client.stream.aclose()
            await trio.testing.wait_all_tasks_blocked()
            assert place.server.connections == 0
    assert logs == []


async def test_stop_ends_idle_connections_and_lets_requests_finish(autojump_clock: Any) -> None:
    app = hello_app()

    @app.get("/slow")
    async def slow() -> str:
        await trio.sleep(3)
        return "slow"

    async with ground(app) as place:
        idle, busy = place.connect(), place.connect()
        await idle.send(GET)
        await idle.read_until(b"hello")
        await busy.send(GET.replace(b"/ ", b"/slow "))
        await trio.testing.wait_all_tasks_blocked()
        start = trio.current_time()
        await place.server.stop(grace=10)
        assert trio.current_time() - start == pytest.approx(3, abs=0.1)
        assert await idle.read_all() == b""
        assert (await busy.read_all()).endswith(b"slow")


async def test_stop_lets_a_request_be_answered_that_a_busy_server_has_not_looked_at(
    autojump_clock: Any,
) -> None:
    class Late(Half):
        """Is read when everybody else has had a turn, and the server has been told to stop."""

        async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
            await trio.sleep(2)
            return await super().receive_some(max_bytes)

    async with ground(hello_app()) as place:
        client = place.connect(Late)
        await client.send(GET)
        await trio.testing.wait_all_tasks_blocked()
        await place.server.stop(grace=10)
        assert (await client.read_all()).endswith(b"hello")


async def test_stop_cuts_what_does_not_finish(autojump_clock: Any) -> None:
    async with ground(hello_app()) as place:
        clients = [place.connect() for _ in range(2)]
        ours, theirs = trio.testing.lockstep_stream_pair()
        place.nursery.start_soon(place.server.handle, Half(theirs))
        await ours.send_all(GET.replace(b"/ ", b"/big "))  # a write that never ends
        for client in clients:
            await client.send(GET.replace(b"/ ", b"/for-ever "))
        await trio.testing.wait_all_tasks_blocked()
        start = trio.current_time()
        await place.server.stop(grace=2)
        assert trio.current_time() - start == pytest.approx(2, abs=0.1)
        assert place.server.connections == 0


async def test_stop_cuts_at_once_when_it_is_cancelled(autojump_clock: Any) -> None:
    async with ground(hello_app()) as place:
        ours, theirs = trio.testing.lockstep_stream_pair()
        place.nursery.start_soon(place.server.handle, Half(theirs))
        await ours.send_all(GET.replace(b"/ ", b"/big "))
        await trio.testing.wait_all_tasks_blocked()  # the answer is being written
        start = trio.current_time()
        with trio.move_on_after(1):
            await place.server.stop(grace=20)
        await trio.testing.wait_all_tasks_blocked()
        assert place.server.connections == 0
        assert trio.current_time() - start == pytest.approx(1, abs=0.1)


async def test_cancelling_a_connection_closes_its_stream() -> None:
    async with open_http(hello_app()) as server:
        ours, theirs = trio.testing.memory_stream_pair()
        side = Half(theirs)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.handle, side)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert side.closed
        assert await ours.receive_some() == b""


async def test_the_applications_lifespan_is_the_blocks() -> None:
    app, seen = hello_app(), []

    @app.before_serving
    async def start() -> None:
        seen.append("start")

    @app.after_serving
    async def end() -> None:
        seen.append("end")

    async with open_http(app):
        assert seen == ["start"]
    assert seen == ["start", "end"]


async def test_hypercorns_server_is_built_and_run_as_we_do_it() -> None:
    """The contract with Hypercorn: these names are not documented there."""
    ours, theirs = trio.testing.memory_stream_pair()
    server = Http1Server(
        ASGIWrapper(plain_app),
        http_config(keep_alive=5),
        WorkerContext(None),
        ConnectionState({}),
        Half(theirs),  # type: ignore[arg-type]  # Hypercorn asks for no more than this
    )
    await ours.send_all(LAST_GET)
    await server.run()
    client = Client(ours, Half(theirs))
    assert b"plain" in await client.read_all()
    assert server.http1 is not None
    assert not server.http1.request_is_unread
