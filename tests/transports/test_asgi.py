"""A connection that is ASGI's messages below and bytes above."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms.protocol.asgi import Frames, client_close
from rooms.protocol.frames import BINARY, CLOSE, PING, TEXT, server_frame
from rooms.protocol.incremental import Control, Goodbye
from rooms.transports.asgi import AsgiLink

ANSWER = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
Message = dict[str, Any]


class Below:
    """The server below: what it was sent, and what it says."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self._say, self._said = trio.open_memory_channel[Message](10)

    async def connect(self, send: Callable[[Message], Awaitable[None]] | None = None) -> AsgiLink:
        """Return the link of a connection that is accepted."""
        link = AsgiLink({"path": "/", "headers": []}, self._said.receive, send or self.send)
        await link.receive_some()
        await link.send_all(ANSWER)
        return link

    async def send(self, message: Message) -> None:
        """Take a message."""
        self.sent.append(message)

    def disconnect(self, code: int) -> None:
        """Say that the client has gone."""
        self._say.send_nowait({"type": "websocket.disconnect", "code": code})


async def test_who_goes_while_something_is_sent_is_sent_no_more(autojump_clock: MockClock) -> None:
    below = Below()

    async def send(message: Message) -> None:
        await below.send(message)
        if message.get("text") == "first":
            below.disconnect(1000)
            await wait_all_tasks_blocked()

    link = await below.connect(send)
    with trio.fail_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.receive_some)
            with pytest.raises(trio.BrokenResourceError):
                await link.send_all(server_frame(b"first") + server_frame(b"second"))
        assert await link.receive_some() == b""
    assert [message.get("text") for message in below.sent] == [None, "first"]


async def test_a_server_that_says_by_an_error_that_nobody_is_there_is_understood() -> None:
    async def send(message: Message) -> None:
        if message["type"] == "websocket.send":
            raise ConnectionResetError

    link = await Below().connect(send)
    with pytest.raises(trio.BrokenResourceError):
        await link.send_all(server_frame(b"first"))


@pytest.mark.parametrize(
    ("code", "heard"),
    [
        (1000, client_close(1000)),
        (1005, client_close(1005)),
        (1006, b""),
        (1015, b""),
        (1 << 17, b""),
    ],
)
async def test_a_code_that_no_client_can_have_said_is_no_goodbye(code: int, heard: bytes) -> None:
    below = Below()
    link = await below.connect()
    below.disconnect(code)
    assert await link.receive_some() == heard
    assert await link.receive_some() == b""


@pytest.mark.parametrize("size", [1, 3, 1000, 1 << 20])
def test_what_a_server_sends_is_taken_apart_however_it_is_cut(size: int) -> None:
    frames = [(TEXT, b"a"), (PING, b""), (BINARY, b"b" * 126), (TEXT, b"c" * 500), (CLOSE, b"")]
    said = ["a", Control(PING, b""), b"b" * 126, "c" * 500, Goodbye(1005, "")]
    data = b"".join(server_frame(payload, opcode) for opcode, payload in frames)
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    taker = Frames()
    assert [each for piece in pieces for each in taker.take(piece)] == said
