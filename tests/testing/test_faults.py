"""A proxy that does to a connection exactly what it is told, and a server that stands it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from rooms.protocol.frames import PING
from rooms.testing import Refused, TestClient, client_frame
from rooms.testing.faults import FaultProxy, Line, fault_proxy
from tests.server.hostile.ground import SECONDS, Ground, ground

SMALL_BUFFER = 4096


class Place:
    """The two ends of a proxy: streams to connect, and what reaches the server."""

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        self.streams: list[trio.SocketStream] = []
        self._arriving, self._arrived = trio.open_memory_channel[trio.SocketStream](1)

    async def take(self, stream: trio.SocketStream) -> None:
        """Give a stream that reached the server to the test, and keep it open."""
        self.streams.append(stream)
        await self._arriving.send(stream)
        await trio.sleep_forever()

    async def connect(self) -> tuple[trio.SocketStream, trio.SocketStream, Line]:
        """Return the client's end, the server's end, and the line between them."""
        stream, line = await self.proxy.open_stream()
        self.streams.append(stream)
        return stream, await self._arrived.receive(), line


@asynccontextmanager
async def place() -> AsyncIterator[Place]:
    """Have a proxy before a server that does nothing while the block runs."""
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            listener, *_ = await trio.open_tcp_listeners(0, host="127.0.0.1")
            async with fault_proxy(listener.socket.getsockname()[1]) as proxy:
                here = Place(proxy)
                nursery.start_soon(trio.serve_listeners, here.take, [listener])
                yield here
            for stream in here.streams:
                stream.socket.close()
            nursery.cancel_scope.cancel()


async def exactly(stream: trio.SocketStream, size: int) -> bytes:
    """Return so many bytes of what arrives."""
    data = b""
    while len(data) < size:
        data += await stream.receive_some(size - len(data))
    return data


async def arrives(stream: trio.SocketStream) -> bytes | None:
    """Return what has arrived when everybody has gone as far as they can, or None."""
    await trio.testing.wait_all_tasks_blocked(0.005)
    with trio.move_on_after(0):
        return bytes(await stream.receive_some(65536))
    return None


async def test_what_is_said_goes_through_in_both_directions() -> None:
    async with place() as here:
        client, server, line = await here.connect()
        await client.send_all(b"up")
        assert await exactly(server, 2) == b"up"
        await server.send_all(b"down")
        assert await exactly(client, 4) == b"down"
        assert (line.up.passed, line.down.passed) == (2, 4)


async def test_the_end_of_one_side_is_told_to_the_other() -> None:
    async with place() as here:
        client, server, line = await here.connect()
        await client.send_eof()
        assert await server.receive_some() == b""
        await server.send_all(b"still here")
        assert await exactly(client, 10) == b"still here"
        await server.send_eof()
        assert await client.receive_some() == b""
        await line.closed.wait()
        assert here.proxy.lines == {}


async def test_a_line_that_stalls_lets_nothing_through_until_it_resumes() -> None:
    async with place() as here:
        client, server, line = await here.connect()
        line.up.stall()
        await client.send_all(b"later")
        assert await arrives(server) is None
        await server.send_all(b"now")
        assert await exactly(client, 3) == b"now"
        line.up.resume()
        assert await exactly(server, 5) == b"later"


async def test_a_line_lets_through_as_many_bytes_as_it_may() -> None:
    async with place() as here:
        client, server, line = await here.connect()
        line.up.allow(3)
        await client.send_all(b"abcdef")
        assert await exactly(server, 3) == b"abc"
        assert await arrives(server) is None
        line.up.allow(1)
        assert await exactly(server, 1) == b"d"


async def test_a_stalled_line_pushes_back() -> None:
    async with place() as here:
        client, _, line = await here.connect()
        line.up.stall()
        with trio.move_on_after(0.2) as waiting:
            while True:
                await client.send_all(b"x" * 65536)
        assert waiting.cancelled_caught
        assert line.up.passed == 0


async def test_bytes_come_one_by_one() -> None:
    async with place() as here:
        client, server, line = await here.connect()
        line.up.chunk_bytes = 1
        await client.send_all(b"abc" * 100)
        assert await exactly(server, 300) == b"abc" * 100
        assert line.up.passed == 300


async def test_a_slow_drip_takes_its_time() -> None:
    async with place() as here:
        client, server, line = await here.connect()
        line.up.chunk_bytes, line.up.delay = 1, 0.01
        before = trio.current_time()
        await client.send_all(b"abc")
        assert await exactly(server, 3) == b"abc"
        assert trio.current_time() - before >= 0.03


async def test_a_half_close_ends_one_direction_only() -> None:
    async with place() as here:
        client, server, line = await here.connect()
        line.up.half_close()
        assert await server.receive_some() == b""
        await server.send_all(b"go on")
        assert await exactly(client, 5) == b"go on"


async def test_a_cut_ends_both_sides() -> None:
    async with place() as here:
        client, server, line = await here.connect()
        line.cut()
        assert await client.receive_some() == b""
        assert await server.receive_some() == b""
        await line.closed.wait()


async def test_a_reset_breaks_both_sides() -> None:
    async with place() as here:
        client, server, line = await here.connect()
        line.reset()
        for stream in (client, server):
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()


async def test_a_fault_can_be_set_for_a_certain_byte() -> None:
    async with place() as here:
        client, server, line = await here.connect()
        line.up.spring(4, line.cut)
        await client.send_all(b"abcdefgh")
        assert await exactly(server, 4) == b"abcd"
        assert await server.receive_some() == b""


async def test_a_server_that_is_not_there_is_the_end_of_the_connection() -> None:
    listener, *_ = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    async with fault_proxy(port) as proxy:
        stream = await trio.open_tcp_stream("127.0.0.1", proxy.port)
        with contextlib.suppress(trio.BrokenResourceError):
            assert await stream.receive_some() == b""
        await stream.aclose()


# The server behind it.


class Faulty(Ground):
    """A server whose clients come through a proxy."""

    proxy: FaultProxy

    async def line(self) -> tuple[TestClient, Line]:
        """Return a client that has joined the lobby, and its line."""
        stream, line = await self.proxy.open_stream()
        client = TestClient(self.keep(stream))
        await client.handshake()
        await client.welcome()
        await client.join("lobby")
        return client, line


@asynccontextmanager
async def faulty(**settings: Any) -> AsyncIterator[Faulty]:
    """Serve the chat behind a proxy while the block runs; then check that no harm is done."""
    async with ground(kind=Faulty, **settings) as there:
        assert isinstance(there, Faulty)
        async with fault_proxy(there.server.port) as proxy:
            there.proxy = proxy
            yield there


@pytest.mark.parametrize("fault", ["cut", "reset"])
async def test_a_client_whose_line_breaks_is_lost(fault: str) -> None:
    async with faulty() as there:
        client, line = await there.line()
        getattr(line, fault)()
        assert await there.gone(client) == 1006


async def test_a_client_whose_frames_are_torn_is_lost() -> None:
    async with faulty() as there:
        client, line = await there.line()
        line.up.spring(9, line.cut)
        await client.send(type="event", event="say", room="lobby", payload="torn")
        assert await there.gone(client) == 1006


async def test_a_client_that_can_only_listen_is_lost() -> None:
    async with faulty() as there:
        client, line = await there.line()
        line.up.half_close()
        assert await there.gone(client) == 1006
        assert (await client.closing()).code == 1006


async def test_a_conversation_byte_by_byte_is_a_conversation() -> None:
    async with faulty() as there:
        client, line = await there.line()
        line.up.chunk_bytes = line.down.chunk_bytes = 1
        await client.send_raw(client_frame("1", PING))
        assert (await client.frame()).payload == b"1"
        said = "é" * 200
        assert "position" in await client.event("say", "lobby", said)
        assert [kept["payload"] for kept in client.kept_events()] in ([said], [])
        assert (await client.close()).code == 1000


async def test_a_client_whose_line_stalls_is_ended_and_holds_nobody_up() -> None:
    async with faulty(close_seconds=0.2, outbox_bytes=65536) as there:
        (stalled, line), (ana, _) = await there.line(), await there.line()
        line.down.stall()
        while stalled.id not in there.reasons:
            await ana.send(type="event", event="say", room="lobby", payload="x" * 30_000)
            assert await ana.receive_event("say") == "x" * 30_000
        assert there.reasons == {stalled.id: [3008]}


async def test_a_client_behind_a_dead_line_is_found_by_its_missing_pong() -> None:
    async with faulty(ping_seconds=0.3, pong_seconds=0.1, close_seconds=0.1) as there:
        client, line = await there.line()
        line.up.stall()
        assert await there.gone(client) == 3012


async def test_a_handshake_that_is_never_finished_is_given_up() -> None:
    async with faulty(head_seconds=0.1) as there:
        stream, line = await there.proxy.open_stream()
        there.keep(stream)
        line.up.allow(40)
        with pytest.raises(Refused) as refused:
            await TestClient(stream).handshake()
        assert refused.value.status == 408
