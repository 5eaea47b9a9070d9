"""`rooms.server.door`: the first request decides who answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock

from rooms import App, Context
from rooms.config import Settings
from rooms.protocol.http import END_OF_HEAD
from rooms.server.door import REFUSAL_SECONDS, Door
from rooms.server.node import Node
from rooms.testing import Refused, TestClient
from rooms.testing.client import REQUEST

UPGRADE = REQUEST.format(path="/ws", headers="").encode()
GET = b"GET /page HTTP/1.1\r\nHost: rooms.test\r\n\r\n"


class Pages:
    """A handler for HTTP that reads what it is given, says so, and closes."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    async def serve(self, stream: trio.abc.Stream) -> None:
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += await stream.receive_some(7)
        self.requests.append(data)
        await stream.send_all(b"a page")
        await stream.aclose()


class Hall:
    """A door and the nursery in which whoever comes through it is served."""

    def __init__(self, node: Node, pages: Pages | None, nursery: trio.Nursery) -> None:
        self.node = node
        self.door = Door(node, None if pages is None else pages.serve)
        self.nursery = nursery
        self.streams: list[trio.abc.Stream] = []

    def come(self) -> trio.StapledStream[Any, Any]:
        """Return the client's end of a new connection."""
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self.door.serve_stream, theirs, "nowhere:1")
        self.streams.append(ours)
        return ours

    async def ask(self, request: bytes) -> bytes:
        """Return all that is answered to a request."""
        stream = self.come()
        await stream.send_all(request)
        return await read_all(stream)


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    """Return what comes until the end."""
    return b"".join([bytes(part) async for part in stream])


@asynccontextmanager
async def hall(
    app: App | None = None, pages: Pages | None = None, **settings: Any
) -> AsyncIterator[Hall]:
    """Open a door to ``app`` while the block runs."""
    async with (app or App()).running(Settings(**settings)) as node, trio.open_nursery() as nursery:
        place = Hall(node, pages, nursery)
        yield place
        for stream in place.streams:
            await trio.aclose_forcefully(stream)


async def test_what_is_no_websocket_goes_to_the_pages_as_it_came() -> None:
    pages = Pages()
    async with hall(pages=pages) as place:
        assert await place.ask(GET + GET) == b"a page"
    assert pages.requests == [GET + GET]


async def test_the_pages_never_see_an_offer_to_speak_something_else() -> None:
    pages = Pages()
    async with hall(pages=pages) as place:
        offer = GET[:-2] + b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
        assert await place.ask(offer) == b"a page"
    assert pages.requests == [GET]


async def test_without_pages_there_is_nothing_to_be_found() -> None:
    async with hall() as place:
        assert (await place.ask(GET)).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("request_head", [GET, UPGRADE])
async def test_a_request_may_come_byte_by_byte(request_head: bytes) -> None:
    async with hall(pages=Pages()) as place:
        stream = place.come()
        for byte in request_head:
            await stream.send_all(bytes([byte]))
            await trio.testing.wait_all_tasks_blocked()
        assert await stream.receive_some(6) in (b"a page", b"HTTP/1")


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (UPGRADE.replace(b"/ws", b"/elsewhere"), 404),
        (UPGRADE.replace(b"/ws", b"/ws/"), 404),
        (UPGRADE[:-2] + b"Content-Length: 1\r\n\r\n", 400),
        (UPGRADE[:-2] + b"Transfer-Encoding: chunked\r\n\r\n", 400),
        (UPGRADE[:-2] + b"Origin: http://evil.example\r\n\r\n", 403),
        (UPGRADE[:-2] + b"Origin: null\r\n\r\n", 403),
        (UPGRADE[:-2] + b"X-Long: " + b"x" * 16384 + END_OF_HEAD, 431),
        (UPGRADE[:-2] + b"X-Long: " + b"x" * 20000, 431),
        (UPGRADE.replace(b"Version: 13", b"Version: 12"), 426),
        (b"nonsense" + END_OF_HEAD, None),
        (b"NONSENSE /" + END_OF_HEAD, 400),
        (b"PRI * HTTP/2.0" + END_OF_HEAD, 505),
    ],
)
async def test_what_is_refused_is_told_why_and_ended_at_once(
    request_head: bytes, status: int | None, autojump_clock: MockClock
) -> None:
    async with hall() as place:
        stream = place.come()
        await stream.send_all(request_head)
        await stream.send_eof()
        answer = await read_all(stream)
        assert trio.current_time() == 0
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()) if status else answer == b""


async def test_a_refused_client_that_stays_is_not_waited_for(autojump_clock: MockClock) -> None:
    async with hall() as place:
        stream = place.come()
        await stream.send_all(b"BAD /" + END_OF_HEAD)
        assert (await read_all(stream)).startswith(b"HTTP/1.1 400 ")
        with pytest.raises(trio.BrokenResourceError):
            await send_slowly(stream)
        assert trio.current_time() <= REFUSAL_SECONDS + 0.2


async def send_slowly(stream: trio.abc.SendStream) -> None:
    """Send a byte each tenth of a second, for ever."""
    while True:
        await stream.send_all(b"x")
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(0.1):
            await trio.sleep_forever()


@pytest.mark.parametrize("beginning", [b"", UPGRADE[:-2] + b"X-Slow: "])
async def test_a_request_that_takes_too_long_is_given_up(
    beginning: bytes, autojump_clock: MockClock
) -> None:
    async with hall(head_seconds=10) as place:
        stream = place.come()
        await stream.send_all(beginning)
        async with trio.open_nursery() as nursery:
            if beginning:
                nursery.start_soon(send_slowly, stream)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 408 ")
            assert trio.current_time() == pytest.approx(10, abs=0.2)
            nursery.cancel_scope.cancel()


async def test_a_client_that_leaves_before_its_request_is_a_lost_connection() -> None:
    async with App().running() as node:
        ours, theirs = trio.testing.memory_stream_pair()
        await ours.send_all(b"GET /")
        await ours.aclose()
        with pytest.raises(trio.BrokenResourceError):
            await Door(node).serve_stream(theirs, "nowhere:1")
        with pytest.raises(trio.ClosedResourceError):
            await theirs.send_all(b"x")


async def test_a_client_that_leaves_instead_of_reading_the_refusal_is_no_failure() -> None:
    async with App().running() as node:
        ours, theirs = trio.testing.memory_stream_pair()
        await ours.send_all(b"BAD /" + END_OF_HEAD)
        await ours.receive_stream.aclose()
        await ours.send_stream.aclose()
        await Door(node).serve_stream(theirs, "nowhere:1")


@pytest.mark.parametrize(
    ("offered", "selected"),
    [("rooms.v1.json", "rooms.v1.json"), ("x, rooms.v1.json", "rooms.v1.json"), ("x", None)],
)
async def test_a_subprotocol_is_selected_if_it_is_known(offered: str, selected: str | None) -> None:
    async with hall() as place:
        client = TestClient(place.come())
        answer = await client.handshake(headers=f"Sec-WebSocket-Protocol: {offered}\r\n")
        lines = dict(line.lower().split(": ", 1) for line in answer.splitlines() if ": " in line)
        assert lines.get("sec-websocket-protocol") == selected
        await client.welcome()


@pytest.mark.parametrize("origin", ["http://rooms.test", "https://rooms.test", "https://b.example"])
async def test_pages_from_here_and_from_listed_places_may_connect(origin: str) -> None:
    async with hall(origins=("https://b.example",)) as place:
        client = TestClient(place.come())
        await client.handshake(headers=f"Origin: {origin}\r\n")
        await client.welcome()


async def test_an_origin_that_is_refused_is_logged_with_what_to_do() -> None:
    async with hall() as place:
        with capture_logs() as logs:
            await place.ask(UPGRADE[:-2] + b"Origin: https://b.example\r\n\r\n")
    warnings = [log for log in logs if log["log_level"] == "warning"]
    assert [log["origin"] for log in warnings] == ["https://b.example"]
    assert "`origins`" in warnings[0]["event"]


async def test_while_the_server_stops_nobody_comes_in() -> None:
    async with hall() as place:
        place.node.draining = True
        with pytest.raises(Refused, match="503"):
            await TestClient(place.come()).handshake()


async def test_the_application_sees_how_a_client_asked() -> None:
    app, seen = App(), []

    @app.on("connected")
    def note(ctx: Context[Any]) -> None:
        seen.append(ctx.client.handshake)

    async with hall(app) as place:
        client = TestClient(place.come())
        await client.handshake("/ws?version=2", "X-Tenant: blue\r\n")
        await client.welcome()
    assert [(shake.path, shake.query, shake.remote) for shake in seen] == [
        ("/ws", "version=2", "nowhere:1")
    ]
    assert seen[0].headers["x-tenant"] == "blue"
