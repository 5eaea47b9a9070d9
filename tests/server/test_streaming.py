"""Messages of any size on an application's own endpoints, read and sent while under way."""

from __future__ import annotations

import contextlib
import os
import tracemalloc
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from msgspec.structs import replace
from trio.testing import MockClock

from rooms import App, Disconnect, WebSocket, relay
from rooms.config import Settings
from rooms.protocol.frames import BINARY, CLOSE, CONTINUATION, FIN, PING, TEXT
from rooms.server.door import Door
from rooms.testing import Frame, TestClient, client_close, client_frame

Handler = Callable[[WebSocket], Awaitable[None]]
MIB = 1024 * 1024
STREAM_MIB = int(os.environ.get("ROOMS_TEST_STREAM_MIB", "16"))
"""The size of the large message; 256 is the long form."""

QUICK = Settings(close_seconds=0.01, rate_bytes=0, rate_messages=0, message_bytes=1000)


@asynccontextmanager
async def served(handler: Handler, **settings: Any) -> AsyncIterator[TestClient]:
    """Serve an endpoint to one client on a line that holds nothing, while the block runs."""
    app = App()
    app.websocket("/here")(handler)
    async with app.running(replace(QUICK, **settings)) as node, trio.open_nursery() as nursery:
        ours, theirs = trio.testing.lockstep_stream_pair()
        nursery.start_soon(Door(node).serve_stream, theirs, "nowhere")
        client = TestClient(ours)
        await client.handshake("/here")
        yield client
        await trio.aclose_forcefully(ours)


async def stream_back(ws: WebSocket) -> None:
    """Send every message back while it arrives."""
    while True:
        await relay(ws.receive_stream(), ws)


# Reading.


async def test_parts_are_given_before_the_message_is_whole() -> None:
    async def tell(ws: WebSocket) -> None:
        async for part in ws.receive_stream():
            await ws.send(part)
        await ws.send("that was all")

    async with served(tell) as client:
        await client.send_raw(client_frame("first", fin=False))
        assert await client.message() == b"first"
        await client.send_raw(client_frame(" last", CONTINUATION))
        assert [await client.message(), await client.message()] == [b" last", b"that was all"]


async def test_text_comes_in_whole_characters_however_it_is_cut() -> None:
    got: list[str | bytes] = []

    async def collect(ws: WebSocket) -> None:
        got.extend([part async for part in ws.receive_stream()])

    text = "añ😀ö"
    async with served(collect) as client:
        first, *rest = [bytes([byte]) for byte in text.encode()]
        await client.send_raw(client_frame(first, fin=False))
        for byte in rest:
            await client.send_raw(client_frame(byte, CONTINUATION, fin=False))
        await client.send_raw(client_frame("", CONTINUATION))
        assert (await client.closing()).code == 1000
    assert got == list(text)


@pytest.mark.parametrize("empty", ["", b""])
async def test_an_empty_message_is_one_empty_part(empty: str | bytes) -> None:
    got: list[str | bytes] = []

    async def collect(ws: WebSocket) -> None:
        got.extend([part async for part in ws.receive_stream()])

    async with served(collect) as client:
        await client.send_raw(client_frame(empty, TEXT if empty == "" else BINARY))
        await client.closing()
    assert got == [empty]


async def test_text_that_is_none_is_found_while_it_arrives() -> None:
    seen: list[Any] = []

    async def collect(ws: WebSocket) -> None:
        try:
            async for part in ws.receive_stream():
                seen.append(part)
        except Disconnect as end:
            seen.append(end.code)

    async with served(collect) as client:
        await client.send_raw(client_frame("good", fin=False))
        await client.send_raw(client_frame(b"\xff", CONTINUATION, fin=False))
        assert (await client.closing()).code == 1007
    assert seen == ["good", 1007]


async def test_the_limit_of_a_message_is_not_one_of_a_stream() -> None:
    async with served(stream_back) as client:
        await client.send_raw(client_frame("x" * 5000))
        assert await client.message() == b"x" * 5000


async def test_what_is_not_read_of_a_stream_is_dropped_when_the_next_is_received() -> None:
    async def skip(ws: WebSocket) -> None:
        stream = ws.receive_stream()
        assert await anext(stream) == "begin"
        await ws.send(await ws.receive())
        with pytest.raises(RuntimeError, match="rest is gone"):
            await anext(stream)

    async with served(skip) as client:
        await client.send_raw(client_frame("begin", fin=False))
        await client.send_raw(client_frame("rest", CONTINUATION) + client_frame("next"))
        assert await client.message() == b"next"


async def test_a_receive_that_was_cancelled_can_go_on_as_a_stream(
    autojump_clock: MockClock,
) -> None:
    async def switch(ws: WebSocket) -> None:
        with trio.move_on_after(1):
            await ws.receive()
        parts = [part async for part in ws.receive_stream()]
        await ws.send("|".join(str(part) for part in parts))

    async with served(switch) as client:
        await client.send_raw(client_frame("a", fin=False))
        await trio.sleep(2)
        await client.send_raw(client_frame("b", CONTINUATION))
        assert await client.message() == b"a|b"


@pytest.mark.parametrize("begun", [b"", "é".encode()[:1], b"\xe2\x82"])
async def test_a_first_part_that_is_cancelled_loses_nothing(
    begun: bytes, autojump_clock: MockClock
) -> None:
    async def impatient(ws: WebSocket) -> None:
        stream = ws.receive_stream()
        with trio.move_on_after(1):
            await anext(stream)  # half a character is no part yet
        await ws.send("|".join([str(part) async for part in stream]))

    rest = {b"": b"x", b"\xc3": b"\xa9", b"\xe2\x82": b"\xac"}[begun]
    async with served(impatient) as client:
        await client.send_raw(client_frame(begun, TEXT, fin=False))
        await trio.sleep(2)
        await client.send_raw(client_frame(rest, CONTINUATION))
        assert await client.message() == begun + rest


async def test_who_reads_slowly_slows_down_who_sends(autojump_clock: MockClock) -> None:
    async def read_once(ws: WebSocket) -> None:
        await anext(ws.receive_stream())
        await trio.sleep_forever()

    sent = 0
    async with served(read_once) as client:
        await client.send_raw(client_frame("x", fin=False))
        with trio.move_on_after(1):
            while True:
                await client.send_raw(client_frame("x" * 10_000, CONTINUATION, fin=False))
                sent += 10_000
    assert 0 < sent < 200_000


# Sending.


async def test_parts_are_fragments_that_nothing_comes_between(autojump_clock: MockClock) -> None:
    async def talk(ws: WebSocket) -> None:
        async with trio.open_nursery() as nursery, ws.stream_message() as out:
            await out.send("one ")
            nursery.start_soon(ws.send, "another message")
            await trio.sleep(15)  # long enough for a ping
            await out.send("two")

    async with served(talk, ping_seconds=10) as client:
        frames = [await client.frame() for _ in range(5)]
        opcodes = [frame.opcode for frame in frames if frame.opcode != PING]
        payloads = [frame.payload for frame in frames if frame.opcode != PING]
        assert opcodes == [TEXT, CONTINUATION, CONTINUATION, TEXT]
        assert payloads == [b"one ", b"two", b"", b"another message"]
        assert [frame.opcode for frame in frames].count(PING) == 1


async def test_an_empty_stream_is_an_empty_message() -> None:
    async def talk(ws: WebSocket) -> None:
        async with ws.stream_message(text=False):
            pass

    async with served(talk) as client:
        frame = await client.frame()
        assert (frame.opcode, frame.payload) == (BINARY, b"")
        assert (await client.closing()).code == 1000


async def test_a_block_that_is_left_by_an_error_ends_the_connection() -> None:
    async def fail(ws: WebSocket) -> None:
        with contextlib.suppress(KeyError):
            async with ws.stream_message() as out:
                await out.send("half")
                raise KeyError
        with pytest.raises(Disconnect):
            await ws.send("whole")

    async with served(fail) as client:
        assert (await client.frame()).payload == b"half"
        frame = await client.frame()
        assert (frame.opcode, frame.code) == (CLOSE, 1011)


async def test_a_large_message_that_is_cancelled_half_way_ends_the_connection(
    autojump_clock: MockClock,
) -> None:
    async def impatient(ws: WebSocket) -> None:
        with trio.move_on_after(1):
            await ws.send(b"x" * MIB)
        await ws.send("not after half a message")

    async with served(impatient) as client:
        await trio.sleep(2)
        assert (await client.frame()).opcode == BINARY
        frame = await client.frame()
        assert (frame.opcode, frame.code) == (CLOSE, 1011)


async def test_a_part_of_the_other_kind_is_a_mistake() -> None:
    async def mix(ws: WebSocket) -> None:
        async with ws.stream_message(text=False) as out:
            await out.send(b"x", last=True)
            with pytest.raises(ValueError, match="last part"):
                await out.send(b"more")
            with pytest.raises(TypeError, match="bytes has no 'text'"):
                await out.send("text")

    async with served(mix) as client:
        assert await client.message() == b"x"
        assert (await client.closing()).code == 1000


async def test_a_part_may_be_whatever_holds_bytes() -> None:
    async def talk(ws: WebSocket) -> None:
        async with ws.stream_message(text=False) as out:
            await out.send(memoryview(array("I", [1, 2])))  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="bytes-like"):
                await out.send(5)  # type: ignore[arg-type]

    async with served(talk) as client:
        assert await client.message() == array("I", [1, 2]).tobytes()
        assert (await client.closing()).code == 1000


async def test_a_message_in_the_block_of_another_is_a_mistake() -> None:
    async def mix(ws: WebSocket) -> None:
        async with ws.stream_message() as out:
            for other in (ws.send("x"), ws.stream_message().__aenter__()):
                with pytest.raises(RuntimeError, match="a message is under way"):
                    await other
            await out.send("all")

    async with served(mix) as client:
        assert await client.message() == b"all"
        assert (await client.closing()).code == 1000


# Relaying.


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (client_frame("whole"), b"whole"),
        (client_frame("", BINARY), b""),
        (client_frame("a", fin=False) + client_frame("b", CONTINUATION), b"ab"),
        (client_frame("a", fin=False) + client_frame("", CONTINUATION), b"a"),
        (client_frame("", BINARY, fin=False) + client_frame("b", CONTINUATION), b"b"),
    ],
)
async def test_a_relayed_message_is_the_same(frames: bytes, message: bytes) -> None:
    async with served(stream_back) as client:
        await client.send_raw(frames + client_close())
        first, *rest = [frame async for frame in until_close(client)]
    assert first.opcode == frames[0] & 0xF
    assert {frame.opcode for frame in rest} <= {CONTINUATION}
    assert b"".join(frame.payload for frame in (first, *rest)) == message


async def until_close(client: TestClient) -> AsyncIterator[Frame]:
    """Yield the frames before the server's goodbye."""
    while (frame := await client.frame()).opcode != CLOSE:
        yield frame


async def test_a_message_of_any_size_passes_through_in_little_memory() -> None:
    size, piece = STREAM_MIB * MIB, bytes(65536)
    received = 0

    async def read(client: TestClient) -> None:
        nonlocal received
        while received < size + STREAM_MIB:  # the pieces, without their headers
            received += len(await client.stream.receive_some(65536))

    async with served(stream_back) as client:
        unmasked = b"\0\0\0\0"
        tracemalloc.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, client)
            header = bytes([FIN | BINARY, 0xFF]) + size.to_bytes(8, "big") + unmasked
            await client.send_raw(header)
            for _ in range(size // len(piece)):
                await client.send_raw(piece)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 4 * MIB
