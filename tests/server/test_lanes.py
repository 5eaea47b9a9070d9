"""The fast and the slow lane keep one order, whatever is sent in whatever pieces."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from rooms import App, Settings
from rooms.protocol.frames import BINARY, CONTINUATION, PING, PONG, TEXT
from rooms.testing import TestClient, client_frame, in_memory

Piece = tuple[str, Any]

# What a client may send: a whole message, one in fragments with pings between them, a ping.
PIECES = st.one_of(
    st.tuples(st.just("whole"), st.integers(0, 200)),
    st.tuples(st.just("fragments"), st.lists(st.booleans(), min_size=1, max_size=4)),
    st.tuples(st.just("ping"), st.just(None)),
)


def _frames(pieces: list[Piece]) -> tuple[bytes, int]:
    """Return the bytes of all pieces, and how many messages they hold; each message its number."""
    data, number = b"", 0
    for kind, detail in pieces:
        if kind == "ping":
            data += client_frame(b"?", PING)
            continue
        text = _message(number, detail if kind == "whole" else 3)
        data += client_frame(text) if kind == "whole" else _fragments(text, detail)
        number += 1
    return data, number


def _message(number: int, padding: int) -> bytes:
    payload = {"n": number, "é": "ü" * padding}
    command = {"type": "event", "event": "note", "payload": payload, "id": number}
    return msgspec.json.encode(command)


def _fragments(text: bytes, pings: list[bool]) -> bytes:
    """Cut a message into as many fragments as there are ``pings``, and one more."""
    step = len(text) // (len(pings) + 1)
    data = client_frame(text[:step], fin=False)
    for place, ping in enumerate(pings, 1):
        if ping:
            data += client_frame(b"!", PING)
        last = place == len(pings)
        part = text[place * step :] if last else text[place * step : (place + 1) * step]
        data += client_frame(part, CONTINUATION, fin=last)
    return data


async def _send_and_collect(data: bytes, cuts: list[int], count: int, waits: bool) -> list[int]:
    """Send ``data`` cut at ``cuts``; return the numbers that a handler saw, checking replies."""
    seen: list[int] = []
    app = App()

    async def note_async(ctx: Any) -> None:
        await trio.lowlevel.checkpoint()
        seen.append(ctx.payload["n"])

    def note_now(ctx: Any) -> None:
        seen.append(ctx.payload["n"])

    app.on("note")(note_async if waits else note_now)
    async with in_memory(app, Settings(inbox_messages=3)) as server:
        client = await server.connect()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_send_in_pieces, client, data, cuts)
            for number in range(count):
                assert (await client.receive_type("reply"))["id"] == number
    return seen


async def _send_in_pieces(client: TestClient, data: bytes, cuts: list[int]) -> None:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    for start, end in itertools.pairwise(places):
        await client.send_raw(data[start:end])
        await trio.testing.wait_all_tasks_blocked()


@settings(max_examples=150, deadline=None)
@given(
    pieces=st.lists(PIECES, min_size=1, max_size=8),
    cuts=st.lists(st.integers(0, 5000), max_size=12),
    waits=st.booleans(),
)
def test_messages_are_handled_in_order_in_any_mixture_and_any_chunking(
    pieces: list[Piece], cuts: list[int], waits: bool
) -> None:
    data, count = _frames(pieces)
    seen = trio.run(_send_and_collect, data, cuts, count, waits)
    assert seen == list(range(count))


async def test_every_ping_is_answered_also_between_fragments() -> None:
    async with in_memory(App()) as server:
        client = await server.connect()
        await client.send_raw(client_frame(b"1", PING) + client_frame("{", fin=False))
        await client.send_raw(client_frame(b"2", PING))
        assert [(await client.frame()).payload for _ in range(2)] == [b"1", b"2"]
        await client.send_raw(client_frame(b"}", CONTINUATION) + client_frame(b"3", PING))
        frames = [await client.frame() for _ in range(2)]
        assert {frame.opcode for frame in frames} == {PONG, TEXT}


async def test_a_binary_message_is_told_apart_from_text_in_both_lanes() -> None:
    async with in_memory(App()) as server:
        client = await server.connect()
        await client.send_raw(client_frame(b"{}", BINARY))
        whole = await client.receive()
        await client.send_raw(client_frame(b"{", BINARY, fin=False))
        await client.send_raw(client_frame(b"}", CONTINUATION))
        assert await client.receive() == whole
        assert "binary" in whole["message"]
