"""`rooms.transports.websocket`: what trio-websocket does for us, and how it fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rooms.errors import InvalidText, Lost, MessageTooBig, NormalClosure, ProtocolViolation
from rooms.protocol.frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, close_frame
from rooms.testing import client_close, client_frame
from rooms.transports.stream import FrameStream
from rooms.transports.websocket import WebSocket
from tests.transports.fakes import FakeLink, FakeReceiver, FakeWriter

LIMIT = 1000


class Accepted:
    """An accepted connection with everything around it."""

    def __init__(self, link: FakeLink, socket: WebSocket) -> None:
        self.link = link
        self.socket = socket
        self.receiver = FakeReceiver()
        self.writer = FakeWriter()
        socket.attach(self.receiver, self.writer)


@asynccontextmanager
async def accepted() -> AsyncIterator[Accepted]:
    """Open a connection that lasts as long as the block."""
    link = FakeLink(watchable=True)
    async with trio.open_nursery() as nursery:
        stream = FrameStream(link, LIMIT)
        yield Accepted(link, WebSocket(stream, nursery.start_soon, LIMIT))
        nursery.cancel_scope.cancel()


async def test_a_message_in_fragments_is_put_together() -> None:
    async with accepted() as place:
        place.link.comes(client_frame("gr", fin=False) + client_frame("üß", CONTINUATION))
        place.link.comes(client_frame(b"\x00", BINARY, fin=False) + client_frame("", CONTINUATION))
        place.link.comes(client_frame("whole"))
        await wait_all_tasks_blocked()
        assert place.receiver.messages == [
            (TEXT, "grüß".encode()),
            (BINARY, b"\x00"),
            (TEXT, b"whole"),
        ]


async def test_a_ping_is_answered_through_the_writer() -> None:
    async with accepted() as place:
        place.link.comes(client_frame("?", PING))
        await wait_all_tasks_blocked()
        assert place.writer.written == [b"\x8a\x01?"]
        assert place.socket.open


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (client_close(1000, "bye"), NormalClosure.close_code),
        (client_close(4321), 4321),
        (client_frame("{}", masked=False), ProtocolViolation.close_code),
        (client_frame(b"\xff"), InvalidText.close_code),
        (client_frame(b"x" * (LIMIT + 1)), MessageTooBig.close_code),
    ],
)
async def test_the_ending_tells_who_ended_it_and_why(frames: bytes, code: int) -> None:
    async with accepted() as place:
        assert isinstance(place.socket.ending, Lost)
        place.link.comes(frames)
        await wait_all_tasks_blocked()
        assert place.socket.ending.code == code
        assert not place.socket.open
        last = place.writer.last  # upon some violations trio-websocket hangs up without a word
        assert last is None or (last[0] & 0xF, last[2:4]) == (CLOSE, code.to_bytes(2, "big"))


async def test_a_connection_that_breaks_is_lost() -> None:
    async with accepted() as place:
        place.link.comes(b"")
        await wait_all_tasks_blocked()
        assert isinstance(place.socket.ending, Lost)
        assert not place.socket.open
        assert place.writer.last is None


async def test_trio_websocket_may_answer_late_to_what_came_before_our_goodbye() -> None:
    async with accepted() as place:
        place.link.comes(client_frame("?", PING) * 3)
        place.socket.stream.say_goodbye(close_frame(3000))
        await wait_all_tasks_blocked()
        assert place.writer.last == close_frame(3000)


async def test_a_ping_behind_a_message_that_is_too_big_changes_nothing() -> None:
    part = client_frame(b"x" * LIMIT, fin=False)
    async with accepted() as place:
        place.link.comes(part + client_frame("x", CONTINUATION, fin=False))
        place.link.comes(client_frame("", PING))
        await wait_all_tasks_blocked()
        assert place.socket.ending.code == MessageTooBig.close_code
        assert place.writer.written == []
