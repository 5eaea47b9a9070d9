"""Endpoints of an application's own: `app.websocket` and what its handlers see."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio
import trio.testing
from msgspec.structs import replace
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App, Credentials, Disconnect, Identity, Refused, User, WebSocket
from rooms.config import Settings
from rooms.errors import NotSignedIn, ShuttingDown, TokenExpired
from rooms.protocol.frames import BINARY, CLOSE, PING, PONG, TEXT
from rooms.server.door import Door
from rooms.server.endings import revoke
from rooms.server.node import Node
from rooms.server.readings import READINGS, load_of
from rooms.testing import (
    Frame,
    MemoryServer,
    TestClient,
    client_close,
    client_frame,
    in_memory,
)
from rooms.testing import Refused as RefusedByServer

Handler = Callable[[WebSocket], Awaitable[None]]


async def echo(ws: WebSocket) -> None:
    """Give back what comes until the client is done."""
    async for message in ws:
        await ws.send(message)


QUICK = Settings(close_seconds=0.01)
"""Most clients here leave their goodbye unfinished."""


class Place:
    """An endpoint at ``/here`` and what its handler has seen."""

    def __init__(self, server: MemoryServer) -> None:
        self.server = server

    async def connect(self, path: str = "/here", headers: str = "") -> TestClient:
        """Return a client of the endpoint."""
        client = TestClient(self.server.open_stream())
        await client.handshake(path, headers)
        return client


@asynccontextmanager
async def endpoint(
    handler: Handler, path: str = "/here", accept: bool = True, **settings: Any
) -> AsyncIterator[Place]:
    """Serve an endpoint over memory streams while the block runs."""
    app = App()
    app.websocket(path, accept=accept)(handler)
    async with in_memory(app, replace(QUICK, **settings)) as server:
        yield Place(server)


async def nothing(ws: WebSocket) -> None:
    """Return at once."""


# Messages.


@pytest.mark.parametrize(
    ("payload", "opcode"), [("Hello", TEXT), (b"\x00\xff", BINARY), ("", TEXT), (b"", BINARY)]
)
async def test_a_message_comes_back_as_it_was_sent(payload: Any, opcode: int) -> None:
    async with endpoint(echo) as place:
        client = await place.connect()
        await client.send_raw(client_frame(payload, opcode))
        frame = await client.frame()
        sent = payload.encode() if isinstance(payload, str) else payload
        assert (frame.opcode, frame.payload) == (opcode, sent)
        assert (await client.close()).code == 1000


async def test_what_came_behind_the_request_is_not_lost() -> None:
    async with endpoint(echo) as place:
        client = TestClient(place.server.open_stream())
        await client.handshake("/here", extra=client_frame("early"))
        assert await client.message() == b"early"


async def test_a_message_in_fragments_is_one_message_and_a_ping_between_is_answered() -> None:
    async with endpoint(echo) as place:
        client = await place.connect()
        await client.send_raw(client_frame("½"[:1].encode()[:1], TEXT, fin=False))
        await client.send_raw(client_frame(b"p", PING))
        await client.send_raw(client_frame("½".encode()[1:], 0))
        assert (await client.frame()).opcode == PONG
        assert await client.message() == "½".encode()


async def test_a_receive_that_is_cancelled_loses_nothing(autojump_clock: MockClock) -> None:
    got: list[Any] = []

    async def impatient(ws: WebSocket) -> None:
        while len(got) < 2:
            with trio.move_on_after(1):
                got.append(await ws.receive())

    async with endpoint(impatient) as place:
        client = await place.connect()
        await client.send_raw(client_frame("slo", fin=False))
        await trio.sleep(5)
        await client.send_raw(client_frame("wly", 0) + client_frame("next"))
        assert (await client.closing()).code == 1000
    assert got == ["slowly", "next"]


async def test_a_message_over_the_limit_ends_the_connection() -> None:
    async with endpoint(echo, message_bytes=10) as place:
        client = await place.connect()
        await client.send_raw(client_frame("0123456789") + client_frame("0123456789a"))
        assert await client.message() == b"0123456789"
        assert (await client.closing()).code == 1009


async def test_a_handler_never_gets_a_message_over_the_limit() -> None:
    got: list[str | bytes] = []

    async def listen(ws: WebSocket) -> None:
        got.append(await ws.receive())

    async with endpoint(listen, message_bytes=10) as place:
        client = await place.connect()
        await client.send_raw(client_frame("0123456789a"))
        assert (await client.closing()).code == 1009
        await place.server.node.idle()
    assert got == []


async def test_a_number_is_no_message() -> None:
    async def count(ws: WebSocket) -> None:
        with pytest.raises(TypeError):
            await ws.send(cast("bytes", 5))  # `bytes` would make five zeros of it
        await ws.send(b"five")

    async with endpoint(count) as place:
        client = await place.connect()
        assert await client.message() == b"five"


async def test_the_limit_holds_for_tiny_fragments_too() -> None:
    async with endpoint(echo, message_bytes=200, rate_messages=0) as place:
        client = await place.connect()
        tiny = [client_frame("x", 0, fin=False)] * 199
        await client.send_raw(client_frame("x", fin=False) + b"".join(tiny))
        await client.send_raw(client_frame("", 0))
        assert await client.message() == b"x" * 200
        await client.send_raw(client_frame("x", fin=False) + b"".join(tiny))
        await client.send_raw(client_frame("x", 0))
        assert (await client.closing()).code == 1009


async def test_a_large_message_is_sent_in_fragments() -> None:
    async def talk(ws: WebSocket) -> None:
        await ws.send("é" * 500_000)

    async with endpoint(talk) as place:
        client = await place.connect()
        frames = [await client.frame() for _ in range(4)]
        assert [frame.opcode for frame in frames] == [TEXT, 0, 0, 0]
        assert b"".join(frame.payload for frame in frames).decode() == "é" * 500_000


# The end.


async def test_a_handler_that_returns_says_goodbye() -> None:
    async with endpoint(nothing) as place:
        closed = await (await place.connect()).closing()
        assert (closed.code, closed.reason) == (1000, "")


async def raise_key_error(ws: WebSocket) -> None:
    raise KeyError("secret")


async def exit_in_a_nursery(ws: WebSocket) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exit_at_once)


async def exit_at_once() -> None:
    raise SystemExit("secret")


@pytest.mark.parametrize("broken", [raise_key_error, exit_in_a_nursery])
async def test_a_handler_that_fails_says_so_and_is_logged(broken: Handler) -> None:

    with capture_logs() as logs:
        async with endpoint(broken) as place:
            closed = await (await place.connect()).closing()
            await place.server.node.idle()
    assert (closed.code, "secret" in closed.reason) == (1011, False)
    assert "handler failed" in [line["event"] for line in logs]


@pytest.mark.parametrize("by_error", [True, False])
async def test_a_handler_closes_with_a_code_and_a_reason(by_error: bool) -> None:
    async def strict(ws: WebSocket) -> None:
        if by_error:
            raise Disconnect("enough", 4001)
        await ws.close(4001, "enough")
        with pytest.raises(Disconnect):
            await ws.send("late")

    async with endpoint(strict) as place:
        closed = await (await place.connect()).closing()
        assert (closed.code, closed.reason) == (4001, "enough")


async def vanish(client: TestClient) -> None:
    await trio.aclose_forcefully(client.stream)


async def say(client: TestClient, frame: bytes) -> None:
    await client.send_raw(frame)
    await client.closing()


@pytest.mark.parametrize(
    ("ending", "code", "reason"),
    [
        (vanish, 1006, "connection lost"),
        (lambda client: say(client, client_close(4002, "off")), 4002, "off"),
        (lambda client: say(client, client_close(1000, "")), 1000, ""),
        (lambda client: say(client, client_close(None)), 1005, ""),
        (lambda client: say(client, client_frame("x", masked=False)), 1002, "frame not masked"),
        (lambda client: say(client, client_frame(b"\xff")), 1007, "text is not UTF-8"),
    ],
)
async def test_a_handler_sees_how_it_ended(
    ending: Callable[[TestClient], Awaitable[None]], code: int, reason: str
) -> None:
    seen: list[Disconnect] = []

    async def watch(ws: WebSocket) -> None:
        assert ws.closed is None
        for call in (ws.receive, lambda: ws.send("x"), ws.receive):
            with pytest.raises(Disconnect) as caught:
                await call()
            seen.append(caught.value)
        assert ws.closed is seen[0]

    async with endpoint(watch) as place:
        await ending(await place.connect())
        await place.server.node.idle()
        counters = place.server.node.counters
        assert counters.get("disconnects", "other" if code == 4002 else str(code)) == 1
    assert [(end.code, end.reason) for end in seen] == [(code, reason)] * 3


@pytest.mark.parametrize(
    ("code", "clean"), [(1000, True), (1001, True), (None, True), (4000, False)]
)
async def test_a_loop_just_ends_when_the_client_is_done(code: int | None, clean: bool) -> None:
    ended: list[bool] = []

    async def loop(ws: WebSocket) -> None:
        try:
            async for _ in ws:
                pass
            ended.append(True)
        except Disconnect:
            ended.append(False)

    async with endpoint(loop) as place:
        client = await place.connect()
        await client.send_raw(client_frame("last") + client_close(code))
        assert (await client.closing()).code == (code or 0)
        await place.server.node.idle()
    assert ended == [clean]


async def test_what_a_task_of_a_handler_learns_of_the_end_is_no_failure() -> None:
    async def two(ws: WebSocket) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ws.receive)
            nursery.start_soon(trio.sleep_forever)

    with capture_logs() as logs:
        async with endpoint(two) as place:
            await vanish(await place.connect())
            await place.server.node.idle()
    assert "handler failed" not in [line["event"] for line in logs]


async def test_a_handler_that_does_not_look_is_cancelled_a_moment_later(
    autojump_clock: MockClock,
) -> None:
    async with endpoint(wait_for_ever, disconnected_seconds=3) as place:
        await vanish(await place.connect())
        start = trio.current_time()
        await place.server.node.idle()
        assert trio.current_time() - start == pytest.approx(3)


async def wait_for_ever(ws: WebSocket) -> None:
    await trio.sleep_forever()


async def test_a_client_that_answers_no_ping_is_given_up(autojump_clock: MockClock) -> None:
    async with endpoint(echo, ping_seconds=10, pong_seconds=2) as place:
        client = await place.connect()
        while (frame := await client.frame()).opcode != CLOSE:
            assert frame.opcode == PING
        assert frame.code == 3012


async def test_a_handler_that_only_sends_still_answers_pings(autojump_clock: MockClock) -> None:
    async with endpoint(wait_for_ever, ping_seconds=10) as place:
        client = await place.connect()
        await client.send_raw(client_frame(b"there?", PING))
        assert await client.frame() == Frame(PONG, b"there?")


async def test_a_server_that_stops_sends_what_was_asked_for(autojump_clock: MockClock) -> None:
    async def slow_echo(ws: WebSocket) -> None:
        async for message in ws:
            await trio.sleep(1)
            await ws.send(message)

    async with endpoint(slow_echo) as place:
        client = await place.connect()
        await client.send_raw(client_frame("a") + client_frame("b"))
        await wait_all_tasks_blocked()
        for connection in place.server.node.connections:
            connection.finish(ShuttingDown("bye"))
        await client.send_raw(client_frame("too late"))
        assert [await client.message(), await client.message()] == [b"a", b"b"]
        closed = await client.closing()
        assert (closed.code, closed.reason) == (3001, "bye")
        await place.server.node.idle()


async def test_a_server_that_is_cancelled_says_goodbye(autojump_clock: MockClock) -> None:
    async with endpoint(echo) as place:
        client = await place.connect()
        await wait_all_tasks_blocked()
        place.server.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            assert (await client.closing()).code == 3001
            await place.server.node.idle()


async def test_a_server_that_stops_answers_who_has_not_been_accepted(
    autojump_clock: MockClock,
) -> None:
    async with endpoint(wait_for_ever, accept=False) as place:
        client = TestClient(place.server.open_stream())

        async def ask() -> None:
            with pytest.raises(RefusedByServer) as caught:
                await client.handshake("/here")
            assert caught.value.status == 503

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            for connection in place.server.node.connections:
                connection.end(ShuttingDown())
        await place.server.node.idle()


async def test_what_came_before_the_goodbye_can_still_be_answered() -> None:
    async with endpoint(echo) as place:
        client = await place.connect()
        await client.send_raw(client_frame("a") + client_frame("b") + client_close(4000))
        assert [await client.message(), await client.message()] == [b"a", b"b"]
        assert (await client.closing()).code == 4000


async def test_who_only_sends_learns_of_the_goodbye_too(autojump_clock: MockClock) -> None:
    ends: list[int] = []

    async def tick(ws: WebSocket) -> None:
        try:
            while True:
                await ws.send("tick")
                await trio.sleep(1)
        except Disconnect as end:
            ends.append(end.code)

    async with endpoint(tick) as place:
        client = await place.connect()
        await client.send_raw(client_close(4000))
        assert (await client.closing()).code == 4000
        await place.server.node.idle()
    assert ends == [4000]


# Backpressure.


async def test_a_sender_waits_for_a_client_that_does_not_read(autojump_clock: MockClock) -> None:
    sent: list[int] = []

    async def flood(ws: WebSocket) -> None:
        for number in range(100):
            await ws.send(b"x" * 1000)
            sent.append(number)

    async with stuck(flood) as (_, client):
        await wait_all_tasks_blocked()
        assert len(sent) < 3
        for _ in range(100):
            await client.message()
        assert (await client.closing()).code == 1000


async def test_a_client_that_takes_nothing_is_cut_after_a_while(autojump_clock: MockClock) -> None:
    ends: list[int] = []

    async def flood(ws: WebSocket) -> None:
        try:
            while True:
                await ws.send(b"x" * 1000)
        except Disconnect as end:
            ends.append(end.code)
            raise

    async with stuck(flood, write_seconds=7) as (node, _):
        await node.idle()
        assert ends == [3008]
        assert node.counters.get("slow_consumers", "deadline", "#") == 1


@asynccontextmanager
async def stuck(handler: Handler, **settings: Any) -> AsyncIterator[tuple[Node, TestClient]]:
    """Serve an endpoint to a client on a line that holds nothing: who sends waits for who reads."""
    app = App()
    app.websocket("/here")(handler)
    async with app.running(replace(QUICK, **settings)) as node, trio.open_nursery() as nursery:
        ours, theirs = trio.testing.lockstep_stream_pair()
        nursery.start_soon(Door(node).serve_stream, theirs, "nowhere")
        client = TestClient(ours)
        await client.handshake("/here")
        yield node, client
        await trio.aclose_forcefully(ours)


async def test_a_client_that_sends_faster_than_its_handler_receives_has_to_wait(
    autojump_clock: MockClock,
) -> None:
    async with stuck(wait_for_ever, ping_seconds=5, pong_seconds=2) as (node, client):
        sent = 0
        while sent < 1_000_000:
            with trio.move_on_after(1) as scope:
                await client.send_raw(client_frame(b"x" * 30_000, BINARY))
            if scope.cancelled_caught:
                break
            sent += 30_000
        assert sent < 200_000
        await trio.sleep(15)  # it is not given up for what nobody reads
        assert len(node.connections) == 1
        await trio.aclose_forcefully(client.stream)  # and that it left is seen by its pings
        await node.idle()


async def test_who_sends_too_fast_is_read_more_slowly(autojump_clock: MockClock) -> None:
    got: list[float] = []

    async def note(ws: WebSocket) -> None:
        async for _ in ws:
            got.append(trio.current_time())

    async with endpoint(note, rate_messages=10, rate_burst_seconds=1) as place:
        client = await place.connect()
        start = trio.current_time()
        await client.send_raw(client_frame("x") * 49)
        await wait_all_tasks_blocked()
        await client.send_raw(client_frame("x") + client_close())
        await client.closing()
        await place.server.node.idle()
        assert len(got) == 50
        assert got[-1] - start > 3
        assert place.server.node.counters.get("rate_limited", "messages") > 0


# The request.


async def test_a_handler_knows_the_request() -> None:
    seen: dict[str, Any] = {}

    async def look(ws: WebSocket) -> None:
        seen.update(ws.path_parameters)
        seen["query"] = ws.query_parameters
        seen["path"] = ws.path
        seen["agent"] = ws.headers["user-agent"]
        seen["remote"] = ws.remote
        seen["user"] = ws.user
        seen["subprotocol"] = ws.subprotocol

    async with endpoint(look, "/see/{name}/{+rest}") as place:
        client = await place.connect("/see/J%C3%BCrgen%2F2/a/b?x=1&y=&x=%26", "User-Agent: me\r\n")
        await client.closing()
    assert seen == {
        "name": "Jürgen/2",
        "rest": "a/b",
        "query": {"x": "&", "y": ""},
        "path": "/see/Jürgen/2/a/b",
        "agent": "me",
        "remote": "memory",
        "user": None,
        "subprotocol": None,
    }


async def test_a_subprotocol_that_both_speak_is_selected() -> None:
    app = App()
    app.websocket("/here", subprotocols=["soup", "fish"])(nothing)
    async with in_memory(app, QUICK) as server:
        client = TestClient(server.open_stream())
        head = await client.handshake("/here", "Sec-WebSocket-Protocol: beef, fish, soup\r\n")
        assert "Sec-WebSocket-Protocol: fish" in head
        client = TestClient(server.open_stream())
        assert "Sec-WebSocket-Protocol" not in await client.handshake("/here")


@pytest.mark.parametrize(
    ("headers", "status"),
    [("Origin: https://evil.example\r\n", 403), ("Content-Length: 5\r\n", 400)],
)
async def test_who_may_not_come_in_does_not_get_to_the_handler(headers: str, status: int) -> None:
    called: list[WebSocket] = []

    async def note(ws: WebSocket) -> None:
        called.append(ws)

    async with endpoint(note) as place:
        with pytest.raises(RefusedByServer) as caught:
            await place.connect("/here", headers)
        assert caught.value.status == status
        with pytest.raises(RefusedByServer):
            await place.connect("/there")
    assert called == []


async def test_who_is_connected_to_an_endpoint_is_counted() -> None:
    async with endpoint(echo) as place:
        client = await place.connect()
        await client.send_raw(client_frame("one") + client_frame("two"))
        await client.message()
        node = place.server.node
        load = load_of(node)
        assert (load.clients, load.received, load.received_bytes) == (1, 2, 18)
        await client.close()
        await node.idle()
        assert (load_of(node).clients, node.received, node.received_bytes) == (0, 2, 26)
        assert READINGS["connects"].read(node, load_of(node)) == 1


def members_only() -> App:
    """Return an application that lets in whoever says a name, until the end of it."""
    app = App()

    @app.authenticate
    def check(credentials: Credentials) -> Identity | None:
        if credentials.token is None:
            return None
        name, _, expires_at = credentials.token.partition(" ")
        return Identity(user=User(name, name), expires_at=float(expires_at) if expires_at else None)

    @app.websocket("/here")
    async def tell(ws: WebSocket) -> None:
        await ws.send(ws.user.id if ws.user else "nobody")
        await ws.receive()

    return app


async def test_who_has_not_signed_in_with_the_request_does_not_get_in() -> None:
    async with in_memory(members_only(), QUICK) as server:
        with pytest.raises(RefusedByServer) as caught:
            await TestClient(server.open_stream()).handshake("/here")
        assert caught.value.status == 401


async def test_the_user_of_a_request_is_the_endpoints_and_counts() -> None:
    async with in_memory(members_only(), replace(QUICK, connections_per_user=1)) as server:
        client = TestClient(server.open_stream())
        await client.handshake("/here", "Authorization: Bearer ana\r\n")
        assert await client.message() == b"ana"
        second = TestClient(server.open_stream())
        await second.handshake("/here", "Authorization: Bearer ana\r\n")
        assert (await second.closing()).code == 3504
        await client.close()
        await server.node.idle()
        third = TestClient(server.open_stream())
        await third.handshake("/here", "Authorization: Bearer ana\r\n")
        assert await third.message() == b"ana"


async def test_a_sign_in_that_is_revoked_ends_its_connections() -> None:
    async with in_memory(members_only(), QUICK) as server:
        client = TestClient(server.open_stream())
        await client.handshake("/here", "Authorization: Bearer ana\r\n")
        assert await client.message() == b"ana"
        assert revoke(server.node, user="bob") == 0
        assert revoke(server.node, user="ana") == 1
        assert (await client.closing()).code == NotSignedIn.close_code


async def test_a_logout_ends_the_connections_of_the_user() -> None:
    app = members_only()
    async with in_memory(app, QUICK) as server:
        client = TestClient(server.open_stream())
        await client.handshake("/here", "Authorization: Bearer ana\r\n")
        assert await client.message() == b"ana"
        assert app.logout("bob") == 0
        assert app.logout("ana") == 1
        assert (await client.closing()).code == 3503


async def test_a_connection_is_known_while_it_is_accepted() -> None:
    app = App()
    decided = trio.Event()

    @app.websocket("/slow/{name}", accept=False)
    async def think(ws: WebSocket) -> None:
        await decided.wait()
        await ws.accept()
        await ws.send("hello")
        await ws.receive()

    async with in_memory(app, QUICK) as server:
        client = TestClient(server.open_stream())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.handshake, "/slow/ana")
            await wait_all_tasks_blocked()
            assert app.websockets == {}
            decided.set()
        assert await client.message() == b"hello"
        ((name, known),) = app.websockets.items()
        assert (known.id, known.path_parameters, known.rooms) == (name, {"name": "ana"}, [])
        assert await app.disconnect(name, 3600) is True
        assert (await client.closing()).code == 3600
        await server.node.idle()
        assert app.websockets == {}


async def test_a_connection_ends_with_what_its_user_proved(autojump_clock: MockClock) -> None:
    async with in_memory(members_only(), QUICK) as server:
        client = TestClient(server.open_stream())
        end = time.time() + 60
        await client.handshake("/here", f"Authorization: Bearer ana {end}\r\n")
        assert await client.message() == b"ana"
        before = trio.current_time()
        assert (await client.closing()).code == TokenExpired.close_code
        assert trio.current_time() - before == pytest.approx(60, abs=3)


async def test_a_sign_in_that_ends_before_it_is_accepted_opens_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = members_only()

    @app.websocket("/late", accept=False)
    async def think_for_long(ws: WebSocket) -> None:
        later = time.time() + 61
        monkeypatch.setattr(time, "time", lambda: later)
        await ws.accept()

    async with in_memory(app, QUICK) as server:
        headers = f"Authorization: Bearer ana {time.time() + 60}\r\n"
        with pytest.raises(RefusedByServer) as caught:
            await TestClient(server.open_stream()).handshake("/late", headers)
        assert caught.value.status == 401


# By hand.


async def test_an_endpoint_accepts_by_hand_with_subprotocol_and_headers() -> None:
    async def choosy(ws: WebSocket) -> None:
        with pytest.raises(RuntimeError, match="accept"):
            await ws.send("early")
        with pytest.raises(ValueError, match="does not offer"):
            await ws.accept("fish")
        with pytest.raises(ValueError, match="no header may"):
            await ws.accept(headers=[("X-Kind", "a\r\nb")])
        await ws.accept(ws.subprotocols[-1], [("X-Kind", "home made")])
        with pytest.raises(RuntimeError, match="already"):
            await ws.accept()
        await ws.send(ws.subprotocol or "")

    async with endpoint(choosy, accept=False) as place:
        client = TestClient(place.server.open_stream())
        head = await client.handshake("/here", "Sec-WebSocket-Protocol: beef, soup\r\n")
        assert "Sec-WebSocket-Protocol: soup\r\nX-Kind: home made" in head
        assert await client.message() == b"soup"
        assert (await client.closing()).code == 1000


async def refuse(ws: WebSocket) -> None:
    await ws.reject(451, "not for you")


async def raise_refused(ws: WebSocket) -> None:
    raise Refused("who are you", 401)


async def fail(ws: WebSocket) -> None:
    raise KeyError("secret")


@pytest.mark.parametrize(
    ("handler", "status", "body"),
    [
        (refuse, 451, b"\r\n\r\nnot for you"),
        (raise_refused, 401, b'"message":"who are you"'),
        (nothing, 403, b'"code":"rejected"'),
        (fail, 500, b'"code":"handler_failed"'),
        (wait_for_ever, 503, b'"code":"undecided"'),
    ],
)
async def test_an_endpoint_that_does_not_accept_answers(
    handler: Handler, status: int, body: bytes, autojump_clock: MockClock
) -> None:
    async with endpoint(handler, accept=False) as place:
        with pytest.raises(RefusedByServer) as caught:
            await place.connect()
        assert caught.value.status == status
        assert body in caught.value.answer
        await place.server.node.idle()
        assert place.server.node.counters.total("refusals") == 1


@pytest.mark.parametrize("header", ["Sec-WebSocket-Accept", "content-length", "Upgrade"])
async def test_the_headers_of_the_handshake_are_the_servers_own(header: str) -> None:
    async def meddle(ws: WebSocket) -> None:
        with pytest.raises(ValueError, match="own"):
            await ws.accept(headers=[(header, "3")])

    async with endpoint(meddle, accept=False) as place:
        with pytest.raises(RefusedByServer) as caught:
            await place.connect()
        assert caught.value.status == 403


async def test_a_rejection_cannot_be_a_yes() -> None:
    async def confuse(ws: WebSocket) -> None:
        with pytest.raises(ValueError, match="101"):
            await ws.reject(101)

    async with endpoint(confuse, accept=False) as place:
        with pytest.raises(RefusedByServer) as caught:
            await place.connect()
        assert caught.value.status == 403


# Registration.


def test_a_path_is_registered_once() -> None:
    app, other = App(), App()
    app.websocket("/a/{x}")(nothing)
    with pytest.raises(ValueError, match="are the same path"):
        app.websocket("/a/{y}")(nothing)
    other.websocket("/a/{z}")(nothing)
    with pytest.raises(ValueError, match="are the same path"):
        app.include(other)


@pytest.mark.parametrize("path", ["here", "/{+rest}/x", "/{a}/{a}", "/{1}", "/a{", "/ws"])
def test_what_is_no_path_of_its_own_is_a_mistake(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|parameter"):
        App().websocket(path)(nothing)


def test_a_plain_function_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="async"):
        App().websocket("/x")(lambda ws: None)  # type: ignore[type-var]


async def test_of_several_paths_the_most_specific_is_meant() -> None:
    app = App()

    def named(name: str) -> Handler:
        async def tell(ws: WebSocket) -> None:
            await ws.send(name)

        return tell

    for path in ("/{+all}", "/a/{+rest}", "/{x}/b", "/a/{x}", "/a/b"):
        app.websocket(path)(named(path))
    wanted = {
        "/a/b": "/a/b",
        "/a/c": "/a/{x}",
        "/c/b": "/{x}/b",
        "/a/b/c": "/a/{+rest}",
        "/z": "/{+all}",
    }
    async with in_memory(app, QUICK) as server:
        for path, pattern in wanted.items():
            client = TestClient(server.open_stream())
            await client.handshake(path)
            assert (await client.message()).decode() == pattern
        with pytest.raises(RefusedByServer):
            await TestClient(server.open_stream()).handshake("/a%FF")
        client = await server.connect()  # the rooms' own path stays theirs
        assert (await client.close()).code == 1000
