"""A client that does not read, in virtual time: deadlines, pings, and what it is told."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from rooms import App, Context
from rooms.config import Settings
from rooms.protocol.frames import PING, PONG
from rooms.server.door import Door
from rooms.testing import MemoryServer, TestClient, client_frame, in_memory


async def clogged_client(server: MemoryServer) -> TestClient:
    """Return a client that the server's writes wait for, until it reads them."""
    ours, theirs = trio.testing.lockstep_stream_pair()
    server.nursery.start_soon(Door(server.node).serve_stream, theirs, "clogged")
    client = TestClient(ours)
    await client.handshake()
    await client.welcome()
    return client


def endings(app: App) -> list[tuple[float, int]]:
    """Return a list that grows by when, and by which code, each client of ``app`` ends."""
    ended: list[tuple[float, int]] = []

    @app.on("disconnected")
    def note(ctx: Context[Any]) -> None:
        assert ctx.reason is not None
        ended.append((trio.current_time(), ctx.reason.code))

    return ended


async def test_who_talks_but_takes_nothing_is_cut_when_only_pings_wait(
    autojump_clock: MockClock,
) -> None:
    app = App()
    ended = endings(app)

    async def chatter(client: TestClient) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            while True:
                await client.send(type="pong")
                await trio.sleep(5)

    async with in_memory(app, Settings(ping_seconds=25, write_seconds=20)) as server:
        client = await clogged_client(server)
        server.nursery.start_soon(chatter, client)
        await trio.sleep(23)
        assert server.node.clients[client.id].waiting_bytes == 0
        await trio.sleep(37)
        ((at, code),) = ended
        assert (code, server.node.counters.get("slow_consumers", "deadline", "#")) == (3008, 1)
        assert 24 + 20 <= at <= 25 + 21
        server.nursery.cancel_scope.cancel()


async def test_a_silent_client_that_takes_nothing_is_ended_for_its_silence(
    autojump_clock: MockClock,
) -> None:
    app = App()
    ended = endings(app)
    async with in_memory(app, Settings(ping_seconds=25, pong_seconds=10)) as server:
        await clogged_client(server)
        await trio.sleep(60)
        assert [code for _, code in ended] == [3012]
        server.nursery.cancel_scope.cancel()


# Latency.


async def next_ping(client: TestClient) -> bytes:
    while (frame := await client.frame()).opcode != PING:
        pass
    return frame.payload


async def test_a_clients_latency_is_that_of_its_last_answered_ping(
    autojump_clock: MockClock,
) -> None:
    async with in_memory(App()) as server:
        client = await server.connect()
        seen = server.node.clients[client.id]
        assert seen.latency is None
        for seconds in (0.25, 0.125):
            payload = await next_ping(client)
            await trio.sleep(seconds)
            await client.send_raw(client_frame(payload, PONG))
            await client.request(type="ping")
            assert seen.latency == pytest.approx(seconds)


async def test_only_the_answer_to_the_last_ping_is_measured_and_once(
    autojump_clock: MockClock,
) -> None:
    async with in_memory(App()) as server:
        client = await server.connect()
        seen = server.node.clients[client.id]
        await client.send_raw(client_frame(b"", PONG) + client_frame(b"1", PONG))
        payload = await next_ping(client)
        await client.send_raw(client_frame(b"another", PONG))
        await client.request(type="ping")
        assert seen.latency is None
        await trio.sleep(0.5)
        await client.send_raw(client_frame(payload, PONG))
        await client.request(type="ping")
        await trio.sleep(1)
        await client.send_raw(client_frame(payload, PONG))
        await client.request(type="ping")
        assert seen.latency == pytest.approx(0.5)


async def test_a_client_that_floods_is_measured_too(autojump_clock: MockClock) -> None:
    async with in_memory(App()) as server:
        client = await server.connect()
        payload = await next_ping(client)
        flood = client_frame('{"type":"pong"}') * 100
        await client.send_raw(flood + client_frame(payload, PONG) + flood)
        await client.request(type="ping")
        assert server.node.clients[client.id].latency == pytest.approx(0)


async def test_a_client_whose_handler_is_slow_is_not_taken_for_silent(
    autojump_clock: MockClock,
) -> None:
    app = App()

    @app.on("slow")
    async def slow(ctx: Context[Any]) -> None:
        await trio.sleep(100)

    async with in_memory(app, Settings(inbox_messages=2)) as server:
        client = await server.connect()
        for _ in range(4):
            await client.send(type="event", event="slow")
        for _ in range(3):
            await client.send_raw(client_frame(await next_ping(client), PONG))
        seen = server.node.clients[client.id]
        assert seen.latency is None  # nothing of it is read
        await trio.sleep(11)
        assert client.id in server.node.clients
