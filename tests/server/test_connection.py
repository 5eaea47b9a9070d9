"""The life of a connection: whatever ends it, everything of it ends, and once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App, Context, Disconnect
from rooms.config import Settings
from rooms.protocol.dialects import NATIVE
from rooms.protocol.frames import CLOSE, PING
from rooms.server.connection import Accepted, serve_websocket
from rooms.server.node import Node
from rooms.testing import MemoryServer, TestClient, client_close, client_frame, in_memory
from rooms.testing.client import REQUEST
from rooms.transports.base import Handshake
from rooms.transports.stream import FrameStream
from tests.transports.fakes import FakeLink

Ctx = Context[Any]
Ending = Callable[[TestClient, MemoryServer], Awaitable[None]]


class Diary:
    """An application that writes down who came and went, and its clients' events."""

    def __init__(self) -> None:
        self.app = App()
        self.entries: list[tuple[str, str]] = []
        for event in ("connected", "note"):
            self.app.on(event)(self._write)
        self.app.on("disconnected")(self._write_reason)

    def _write(self, ctx: Ctx) -> None:
        self.entries.append((ctx.client.id, ctx.payload or ctx.event))

    def _write_reason(self, ctx: Ctx) -> None:
        assert ctx.reason is not None
        self.entries.append((ctx.client.id, f"disconnected {ctx.reason.code}"))


async def say_goodbye(client: TestClient, server: MemoryServer) -> None:
    assert (await client.close(1000)).code == 1000


async def vanish(client: TestClient, server: MemoryServer) -> None:
    await trio.aclose_forcefully(client.stream)


async def break_the_protocol(client: TestClient, server: MemoryServer) -> None:
    await client.send_raw(client_frame("{}", masked=False))
    assert (await client.closing()).code == 1002


async def be_closed(client: TestClient, server: MemoryServer) -> None:
    server.node.clients[client.id].close(4001, "enough")
    closed = await client.closing()
    assert (closed.code, closed.reason) == (4001, "enough")


async def go_silent(client: TestClient, server: MemoryServer) -> None:
    while (frame := await client.frame()).opcode != CLOSE:
        pass
    assert frame.code == 3012


async def be_cancelled(client: TestClient, server: MemoryServer) -> None:
    server.nursery.cancel_scope.cancel()
    assert (await client.closing()).code == 3001


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (say_goodbye, 1000),
        (vanish, 1006),
        (break_the_protocol, 1002),
        (be_closed, 4001),
        (go_silent, 3012),
        (be_cancelled, 3001),
    ],
)
async def test_disconnected_is_fired_once_whatever_the_ending(
    ending: Ending, code: int, autojump_clock: MockClock
) -> None:
    diary = Diary()
    async with in_memory(diary.app) as server:
        client = await server.connect()
        await client.join("lobby")
        with trio.CancelScope(shield=True):
            await ending(client, server)
            await server.node.idle()
            await trio.sleep(60)
        assert diary.entries == [(client.id, "connected"), (client.id, f"disconnected {code}")]
        assert (diary.app.room_names, diary.app.clients) == ([], {})


async def test_what_a_client_asked_for_before_its_goodbye_is_done(
    autojump_clock: MockClock,
) -> None:
    diary = Diary()

    @diary.app.on("slow")
    async def slow(ctx: Ctx) -> None:
        await trio.sleep(1)
        diary.entries.append((ctx.client.id, "slow"))

    async with in_memory(diary.app) as server:
        client = await server.connect()
        await client.send(type="event", event="slow")
        await client.send(type="event", event="note", payload="last words")
        assert (await client.close()).code == 1000
        await server.node.idle()
    told = [entry for _, entry in diary.entries]
    assert told == ["connected", "slow", "last words", "disconnected 1000"]


async def test_a_handler_that_outlives_the_goodbye_too_long_is_cancelled(
    autojump_clock: MockClock,
) -> None:
    diary = Diary()

    @diary.app.on("stick")
    async def stick(ctx: Ctx) -> None:
        await trio.sleep_forever()

    async with in_memory(diary.app, Settings(close_seconds=3)) as server:
        client = await server.connect()
        await client.send(type="event", event="stick")
        await wait_all_tasks_blocked()
        start = trio.current_time()
        await client.close()
        await server.node.idle()
        assert 3 <= trio.current_time() - start <= 7
    assert [entry for _, entry in diary.entries] == ["connected", "disconnected 1000"]


async def test_a_handler_that_is_stuck_ends_at_once_when_its_client_vanishes(
    autojump_clock: MockClock,
) -> None:
    diary = Diary()

    @diary.app.on("stick")
    async def stick(ctx: Ctx) -> None:
        await trio.sleep_forever()

    async with in_memory(diary.app) as server:
        client = await server.connect()
        await client.send(type="event", event="stick")
        await wait_all_tasks_blocked()
        start = trio.current_time()
        await vanish(client, server)
        await server.node.idle()
        assert trio.current_time() == start
    assert [entry for _, entry in diary.entries] == ["connected", "disconnected 1006"]


async def test_a_handler_that_raises_is_answered_and_the_connection_lives(
    autojump_clock: MockClock,
) -> None:
    diary = Diary()

    @diary.app.on("fail")
    async def fail(ctx: Ctx) -> None:
        raise RuntimeError("not for the client")

    async with in_memory(diary.app) as server:
        client = await server.connect()
        with capture_logs() as logs:
            answer = await client.event("fail")
        assert answer["code"] == "internal"
        assert "not for the client" not in answer["message"]
        assert [(log["event"], log["log_level"]) for log in logs] == [("handler failed", "error")]
        assert await client.event("note", payload="alive") == {"type": "reply", "id": 2}
        await client.close()
        await server.node.idle()
    assert [entry for _, entry in diary.entries] == ["connected", "alive", "disconnected 1000"]


async def test_a_connected_handler_that_raises_ends_the_connection(
    autojump_clock: MockClock,
) -> None:
    app, reasons = App(), []

    @app.on("connected")
    async def fail(ctx: Ctx) -> None:
        raise RuntimeError("not for the client")

    @app.on("disconnected")
    async def note(ctx: Ctx) -> None:
        assert ctx.reason is not None
        reasons.append(ctx.reason.code)

    async with in_memory(app) as server:
        with capture_logs() as logs:
            client = await server.connect()
            closed = await client.closing()
            await server.node.idle()
        assert (closed.code, closed.reason) == (1011, "internal error")
        assert "connected handler failed" in [log["event"] for log in logs]
    assert reasons == [1011]


@pytest.mark.parametrize("hook", ["connected", "leave"])
async def test_a_disconnect_that_a_handler_raises_reaches_the_client(
    hook: str, autojump_clock: MockClock
) -> None:
    app = App()

    @app.on(hook)
    async def refuse(ctx: Ctx) -> None:
        raise Disconnect("full house", code=4500)

    async with in_memory(app) as server:
        client = await server.connect()
        await client.send(type="event", event="leave")
        closed = await client.closing()
        assert (closed.code, closed.reason) == (4500, "full house")


async def test_a_disconnected_handler_that_raises_or_hangs_holds_up_nobody(
    autojump_clock: MockClock,
) -> None:
    app = App()

    @app.on("disconnected")
    async def fail(ctx: Ctx) -> None:
        if ctx.client.id == "c1":
            raise RuntimeError
        await trio.sleep_forever()

    async with in_memory(app, Settings(disconnected_seconds=2)) as server:
        first, second = await server.connect(), await server.connect()
        with capture_logs() as logs:
            await first.close()
            await second.close()
            await server.node.idle()
        failures = [log["event"] for log in logs if log["log_level"] == "error"]
    assert failures == ["disconnected handler failed", "disconnected handler took too long"]


async def test_disconnected_sees_a_client_that_has_left_its_rooms(
    autojump_clock: MockClock,
) -> None:
    app, seen = App(), []

    @app.on("disconnected")
    async def note(ctx: Ctx) -> None:
        seen.append((ctx.client.rooms, ctx.app.room_names))
        await ctx.send("too late")

    async with in_memory(app) as server:
        client = await server.connect()
        await client.join("lobby")
        await client.close()
        await server.node.idle()
    assert seen == [([], [])]


async def test_a_client_that_does_not_answer_our_goodbye_is_waited_for_so_long_only(
    autojump_clock: MockClock,
) -> None:
    diary = Diary()
    async with in_memory(diary.app, Settings(close_seconds=3)) as server:
        client = await server.connect()
        server.node.clients[client.id].close()
        start = trio.current_time()
        await server.node.idle()
        assert trio.current_time() - start == pytest.approx(3, abs=0.1)
        assert (await client.frame()).code == 3503


async def test_the_first_reason_to_end_a_connection_counts(autojump_clock: MockClock) -> None:
    diary = Diary()
    async with in_memory(diary.app) as server:
        client = await server.connect()
        server.node.clients[client.id].close(4001)
        server.node.clients[client.id].close(4002)
        await client.send_raw(client_close(1000))
        assert (await client.closing()).code == 4001
        await server.node.idle()
    assert [entry for _, entry in diary.entries] == ["connected", "disconnected 4001"]


async def test_nothing_is_handled_once_the_connection_is_ending(autojump_clock: MockClock) -> None:
    diary = Diary()
    async with in_memory(diary.app) as server:
        client = await server.connect()
        server.node.clients[client.id].close()
        await client.send(type="event", event="note", payload="too late")
        await client.closing()
        await server.node.idle()
    assert "too late" not in [entry for _, entry in diary.entries]


async def test_a_connection_is_logged_with_its_reason_and_without_what_was_said(
    autojump_clock: MockClock,
) -> None:
    async with in_memory(App(relay=True, guests=True)) as server:
        with capture_logs() as logs:
            client = await server.connect()
            await client.request(type="auth", name="Ana", secret="a secret")
            await client.join("lobby")
            await client.event("say", "lobby", "a confidence")
            await client.close(4000)
            await server.node.idle()
    told = [log for log in logs if log["log_level"] == "info"]
    assert [log["event"] for log in told] == ["connected", "disconnected"]
    assert (told[1]["code"], told[1]["received"]) == (4000, 3)
    assert "a secret" not in str(logs)
    assert "a confidence" not in str(logs)


class Lingering:
    """A connection whose client has been told to go, while ``disconnected`` is being handled."""

    def __init__(self, node: Node, nursery: trio.Nursery) -> None:
        self.link = FakeLink(watchable=True)
        handshake = Handshake("/ws", "", REQUEST.encode(), (), "nowhere:1")
        stream = FrameStream(self.link, node.settings.message_bytes)
        accepted = Accepted(stream, b"", handshake, NATIVE[0], NATIVE[0].open({}))
        nursery.start_soon(serve_websocket, node, accepted)


@pytest.mark.parametrize("late", [client_close(), client_frame("?", PING), b""])
async def test_what_comes_when_all_has_been_said_is_too_late(
    late: bytes, autojump_clock: MockClock
) -> None:
    app = App()

    @app.on("disconnected")
    async def linger(ctx: Ctx) -> None:
        await trio.sleep(3)

    settings = Settings(close_seconds=1, disconnected_seconds=5)
    async with app.running(settings) as node, trio.open_nursery() as nursery:
        place = Lingering(node, nursery)
        await wait_all_tasks_blocked()
        node.clients["c1"].close(4001)
        await trio.sleep(2)
        place.link.comes(late)
        await trio.sleep(2)
        assert node.clients == {}


async def test_what_is_sent_when_all_has_been_said_is_too_late(autojump_clock: MockClock) -> None:
    app = App()

    @app.on("disconnected")
    async def linger(ctx: Ctx) -> None:
        await trio.sleep(3)
        await ctx.send("goodbye")

    settings = Settings(close_seconds=1, disconnected_seconds=5)
    async with app.running(settings) as node, trio.open_nursery() as nursery:
        place = Lingering(node, nursery)
        await wait_all_tasks_blocked()
        place.link.full = True
        place.link.comes(b"")
        await node.idle()


async def test_an_answer_in_the_moment_of_the_deadline_harms_nobody(
    autojump_clock: MockClock,
) -> None:
    async def answer(place: Lingering, turns: int) -> None:
        await trio.sleep(1)
        for _ in range(turns):
            await trio.lowlevel.checkpoint()
        place.link.comes(client_close())

    async with App().running(Settings(close_seconds=1)) as node, trio.open_nursery() as nursery:
        places = [Lingering(node, nursery) for _ in range(40)]
        await wait_all_tasks_blocked()
        for client in node.clients.values():
            client.close(4001)
        await wait_all_tasks_blocked()
        for number, place in enumerate(places):
            nursery.start_soon(answer, place, number % 5)
        await node.idle()
