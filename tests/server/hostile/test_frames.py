"""Frames that break RFC 6455, and frames that come when it is too late for them."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import trio
import trio.testing

from rooms import App, Context
from rooms.chat import chat_app
from rooms.protocol.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from rooms.testing import client_close, client_frame, in_memory
from tests.server.hostile.ground import Ground, closed_by, ground

TOO_BIG = b'"' + b"x" * 70_000 + b'"'


def first(payload: bytes | str, opcode: int = TEXT) -> bytes:
    """Return the first fragment of a message."""
    return client_frame(payload, opcode, fin=False)


def last(payload: bytes | str) -> bytes:
    """Return the last fragment of a message."""
    return client_frame(payload, CONTINUATION)


VIOLATIONS = {
    "unmasked": (1002, client_frame("{}", masked=False)),
    "unmasked ping": (1002, client_frame("", PING, masked=False)),
    "reserved bit 1": (1002, client_frame("{}", reserved=0x40)),
    "reserved bit 2": (1002, client_frame("{}", reserved=0x20)),
    "reserved bit 3": (1002, client_frame("{}", reserved=0x10)),
    "reserved bit on a ping": (1002, client_frame("", PING, reserved=0x40)),
    "opcode 3": (1002, client_frame("{}", 0x3)),
    "opcode 11": (1002, client_frame("{}", 0xB)),
    "continuation of nothing": (1002, last("{}")),
    "message inside a message": (1002, first("{") + client_frame("{}")),
    "ping over 125 bytes": (1002, client_frame(b"x" * 126, PING)),
    "pong over 125 bytes": (1002, client_frame(b"x" * 126, PONG)),
    "close over 125 bytes": (1002, client_frame(b"\x03\xe8" + b"x" * 124, CLOSE)),
    "fragmented ping": (1002, client_frame("", PING, fin=False)),
    "fragmented close": (1002, client_frame(b"\x03\xe8", CLOSE, fin=False)),
    "length not in its shortest form": (1002, b"\x81\xfe\x00\x02\x00\x00\x00\x00{}"),
    "length with its highest bit set": (1002, b"\x81\xff" + b"\xff" * 8 + bytes(4)),
    "text that is not UTF-8": (1007, client_frame(b'"\xc3\x28"')),
    "UTF-8 of half a surrogate pair": (1007, client_frame(b'"\xed\xa0\x80"')),
    "UTF-8 longer than it need be": (1007, client_frame(b'"\xc0\xaf"')),
    "fragments that are not UTF-8": (1007, first(b'"\xc3') + last(b'\x28"')),
    "UTF-8 cut off at the end": (1007, first(b'"') + last(b'"\xe2\x82')),
    "too big": (1009, client_frame(TOO_BIG)),
    "too big in binary": (1009, client_frame(TOO_BIG, BINARY)),
    "too big in fragments": (1009, first(TOO_BIG[:40_000]) + last(TOO_BIG[:40_000])),
    "too big, and pings behind it": (1009, first(TOO_BIG) + client_frame("", PING) * 3),
}


@pytest.mark.parametrize("violation", VIOLATIONS)
async def test_a_violation_is_told_by_its_close_code(violation: str) -> None:
    code, frames = VIOLATIONS[violation]
    async with ground() as place:
        client = await place.connect()
        assert (await client.join("lobby"))["count"] == 1
        await client.send_raw(client_frame('{"type":"ping","id":7}') + frames)
        assert (await client.receive_type("pong"))["id"] == 7  # what came before is answered
        assert (await closed_by(client)).code == code
        assert place.reasons == {client.id: [code]}


@pytest.mark.parametrize("violation", VIOLATIONS)
async def test_a_violation_that_comes_byte_by_byte_is_told_too(violation: str) -> None:
    code, frames = VIOLATIONS[violation]
    async with in_memory(chat_app()) as server:
        client = await server.connect()
        for byte in frames[:24]:
            await client.send_raw(bytes([byte]))
            await trio.testing.wait_all_tasks_blocked()
        with contextlib.suppress(trio.BrokenResourceError):  # its header was enough
            await client.send_raw(frames[24:])
        assert (await client.closing()).code == code


@pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
async def test_a_close_code_that_nobody_may_send_is_a_violation(code: int) -> None:
    async with ground() as place:
        client = await place.connect()
        await client.send_raw(client_close(code))
        assert (await closed_by(client)).code == 1002


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 3000, 3999, 4000, 4999])
async def test_a_close_code_that_a_client_may_send_is_given_back(code: int) -> None:
    async with ground() as place:
        client = await place.connect()
        await client.send_raw(client_close(code, "bye"))
        assert (await closed_by(client)).code == code
        assert place.reasons == {client.id: [code]}


async def test_a_close_frame_without_a_code_is_answered() -> None:
    async with ground() as place:
        client = await place.connect()
        await client.send_raw(client_close(None))
        assert (await closed_by(client)).code in (0, 1000)
        assert place.reasons == {client.id: [1005]}


async def test_half_a_close_code_is_a_violation() -> None:
    async with ground() as place:
        client = await place.connect()
        await client.send_raw(client_frame(b"\x03", CLOSE))
        assert (await closed_by(client)).code == 1002


async def test_a_close_reason_that_is_not_utf_8_is_told_so() -> None:
    async with ground() as place:
        client = await place.connect()
        await client.send_raw(client_frame(b"\x03\xe8\xff\xfe", CLOSE))
        assert (await closed_by(client)).code == 1007


def app_that_closes() -> App:
    """Return the chat, with an event upon which it says goodbye."""
    app = chat_app()

    @app.on("kick")
    async def kick(ctx: Context[Any]) -> None:
        ctx.client.close(3503, "out")

    return app


LATE = {
    "ping": client_frame("late", PING),
    "pong": client_frame("late", PONG),
    "message": client_frame('{"type":"join","room":"lobby","id":1}'),
    "fragments": first('{"type":"join",') + last('"room":"lobby"}'),
    "half a message": first('{"type":"join",'),
    "over-size message": client_frame(b"x" * 1_000_000),
    "over-size fragments": first(b"x" * 70_000) + last(b"x" * 70_000),
    "text that is not UTF-8": client_frame(b"\xff"),
    "hundred pings": client_frame("late", PING) * 100,
}


EARLY = {
    "pings": (client_frame("early", PING) * 1000, b""),
    "half a ping": (client_frame("early", PING)[:8], client_frame("early", PING)[8:]),
    "half an over-size message": (first(b"x" * 60_000)[:100], client_frame(b"x" * 60_000)[100:]),
    "an over-size fragment": (first(b"x" * 60_000), last(b"x" * 60_000)),
    "half an over-size fragment": (
        first(b"x" * 60_000) + last(b"x" * 60_000)[:100],
        last(b"x" * 60_000)[100:],
    ),
}


@pytest.mark.parametrize("early", EARLY)
async def test_what_was_under_way_when_we_closed_does_no_harm(early: str) -> None:
    before, after = EARLY[early]
    async with ground(app_that_closes()) as place:
        client = await place.connect()
        kick = client_frame('{"type":"event","event":"kick"}')
        await client.send_raw(kick + before)
        while (frame := await client.frame()).opcode != CLOSE:
            assert frame.opcode == PONG
        await client.send_raw(after + client_close(3503))
        assert frame.code == 3503
        assert await client.stream.receive_some() == b""


@pytest.mark.parametrize("late", LATE)
async def test_after_our_close_frame_nothing_but_the_answer_to_it_counts(late: str) -> None:
    async with ground(app_that_closes()) as place:
        client = await place.connect()
        await client.send(type="event", event="kick")
        frame = await client.frame()
        assert (frame.opcode, frame.code) == (CLOSE, 3503)
        await client.send_raw(LATE[late])
        await client.send_raw(client_close(3503))
        assert await client.stream.receive_some() == b""
        assert place.reasons == {client.id: [3503]}


async def test_a_violation_after_our_close_frame_ends_the_connection() -> None:
    async with ground(app_that_closes()) as place:
        client = await place.connect()
        await client.send(type="event", event="kick")
        assert (await client.frame()).code == 3503
        await client.send_raw(client_frame("{}", masked=False))
        assert await client.stream.receive_some() == b""


async def test_what_is_sent_behind_ones_own_close_frame_is_not_handled() -> None:
    async with ground() as place:
        client = await place.connect()
        late = client_frame('{"type":"join","room":"lobby","id":1}') + client_frame("", PING)
        await client.send_raw(client_close(1000) + late)
        assert (await client.frame()).opcode == CLOSE
        assert await client.stream.receive_some() == b""


async def test_a_client_that_does_not_answer_our_close_frame_is_cut_off() -> None:
    async with ground(app_that_closes(), close_seconds=0.2) as place:
        client = await place.connect()
        await client.send(type="event", event="kick")
        assert (await client.frame()).code == 3503
        assert await client.stream.receive_some() == b""
        assert place.reasons == {client.id: [3503]}


async def test_a_client_that_goes_on_talking_after_our_close_frame_is_cut_off() -> None:
    async with ground(app_that_closes(), close_seconds=0.2) as place:
        client = await place.connect()
        await client.send(type="event", event="kick")
        assert (await client.frame()).code == 3503
        with pytest.raises(trio.BrokenResourceError):
            await talk_for_ever(place, client.stream)


async def talk_for_ever(place: Ground, stream: trio.abc.SendStream) -> None:
    """Send pings until the connection breaks."""
    while True:
        await stream.send_all(client_frame("late", PING) * 100)
        await trio.lowlevel.checkpoint()


async def test_pings_between_and_inside_messages_are_answered_in_order() -> None:
    parts = [
        client_frame("1", PING),
        first('{"type":"ping"'),
        client_frame("2", PING),
        client_frame(',"id":', CONTINUATION, fin=False),
        client_frame("3", PING),
        last("7}"),
        client_frame('{"type":"ping","id":8}'),
        client_frame("4", PING),
    ]
    async with ground() as place:
        client = await place.connect()
        await client.send_raw(b"".join(parts))
        frames = [await client.frame() for _ in range(6)]
        pongs = [frame.payload for frame in frames if frame.opcode == PONG]
        answers = [frame.payload for frame in frames if frame.opcode == TEXT]
        assert pongs == [b"1", b"2", b"3", b"4"]
        assert answers == [b'{"type":"pong","id":7}', b'{"type":"pong","id":8}']
