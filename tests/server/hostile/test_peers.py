"""Clients that do not read, do not listen, or are gone before anything was said."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any

import trio

from rooms import Context
from rooms.chat import chat_app
from rooms.testing import TestClient, client_frame
from rooms.testing.client import REQUEST
from tests.server.hostile.ground import Ground, ground

UPGRADE = REQUEST.format(path="/ws", headers="").encode()
RESET_AT_CLOSE = struct.pack("ii", 1, 0)
TEXT = "x" * 30_000


def reset(stream: trio.SocketStream) -> None:
    """End a connection by a reset instead of a goodbye."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
    stream.socket.close()


async def deaf_client(place: Ground) -> TestClient:
    """Return a client with a small window that has joined the lobby, and now reads no more."""
    sock = trio.socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await sock.connect(("127.0.0.1", place.server.port))
    client = TestClient(place.keep(trio.SocketStream(sock)))
    await client.handshake()
    await client.welcome()
    await client.join("lobby")
    return client


async def talk_until_gone(place: Ground, deaf: TestClient, *others: TestClient) -> None:
    """Have the first of the others say things in the lobby until the server gives up on one."""
    while deaf.id not in place.reasons:
        await others[0].send(type="event", event="say", room="lobby", payload=TEXT)
        for other in others:
            assert (await other.receive_type("event"))["payload"] == TEXT


async def flood(place: Ground, deaf: TestClient, frames: bytes) -> None:
    """Have a client send and never read until the server ends it for that."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_for_ever, deaf.stream, frames)
        assert await place.gone(deaf) == 3008
        nursery.cancel_scope.cancel()


async def send_for_ever(stream: trio.abc.SendStream, frames: bytes) -> None:
    """Send until the connection breaks."""
    with contextlib.suppress(trio.BrokenResourceError):
        while True:
            await stream.send_all(frames)


async def test_a_client_that_never_reads_is_ended_and_holds_nobody_up() -> None:
    async with ground(close_seconds=0.2) as place:
        deaf, ana, bo = await deaf_client(place), await place.connect(), await place.connect()
        await ana.join("lobby")
        await bo.join("lobby")
        await talk_until_gone(place, deaf, ana, bo)
        assert place.reasons == {deaf.id: [3008]}


async def test_a_client_that_was_too_slow_is_told_so_when_it_reads_again() -> None:
    async with ground() as place:
        slow, ana = await deaf_client(place), await place.connect()
        await ana.join("lobby")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk_until_gone, place, slow, ana)
            await place.gone(slow)
            closed = await slow.closing()
        assert (closed.code, closed.reason) == (3008, "too slow")


async def test_a_client_that_sends_but_never_reads_is_ended() -> None:
    async with ground(close_seconds=0.2, write_seconds=0.5) as place:
        deaf = await deaf_client(place)
        echo = client_frame(f'{{"type":"event","event":"echo","payload":"{TEXT}","id":1}}')
        await flood(place, deaf, echo)


async def test_a_thousand_connects_and_resets_leave_nothing() -> None:
    async with ground() as place:
        beginnings = [
            b"",
            UPGRADE[:40],
            UPGRADE,
            UPGRADE + client_frame("{}"),
            b"GET / HTTP/1.1\r\n",
        ]
        for number in range(1000):
            stream = await place.open_clear()
            await stream.send_all(beginnings[number % len(beginnings)])
            reset(stream)


async def test_resets_in_the_middle_of_talk_leave_nothing() -> None:
    async with ground() as place:
        for _ in range(50):
            stream = await place.open_clear()
            client = TestClient(stream)
            await client.handshake()
            await client.welcome()
            await client.join("lobby")
            for _ in range(20):
                await client.send(type="event", event="say", room="lobby", payload=TEXT)
            reset(stream)


async def test_a_client_that_closes_without_a_goodbye_is_lost() -> None:
    async with ground() as place:
        client = await place.connect()
        await client.join("lobby")
        await client.stream.aclose()
        assert await place.gone(client) == 1006


async def test_a_client_that_closes_its_side_only_is_lost() -> None:
    async with ground() as place:
        stream = await place.open_clear()
        client = TestClient(stream)
        await client.handshake()
        await client.welcome()
        await stream.send_eof()
        assert (await client.closing()).code == 1006
        assert await place.gone(client) == 1006


async def test_a_handler_that_is_stuck_ends_when_its_client_goes() -> None:
    app, ended = chat_app(), trio.Event()

    @app.on("stick")
    async def stick(ctx: Context[Any]) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with ground(app) as place:
        stream = await place.open_clear()
        client = TestClient(stream)
        await client.handshake()
        await client.welcome()
        await client.send(type="event", event="stick")
        await client.send(type="ping")
        reset(stream)
        await ended.wait()


async def test_what_a_lost_client_still_asked_for_is_not_waited_for() -> None:
    async with ground() as place:
        clients = [await place.connect() for _ in range(20)]
        for client in clients:
            await client.send(type="join", room="lobby")
        await place.close_all()
        for client in clients:
            assert await place.gone(client) == 1006
