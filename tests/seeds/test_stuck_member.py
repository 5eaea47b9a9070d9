"""A member that has stopped reading, in each dialect: all others get everything, in order."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App, Context, Settings
from rooms.protocol.dialects import DIALECTS
from rooms.protocol.frames import BINARY
from rooms.testing import client_frame, in_memory
from tests.seeds.talk import connect, stuck

COUNT = 100
TEXT = "x" * 4000
OUTBOX_BYTES = 64 * 1024
SETTINGS = Settings(rate_messages=0, rate_bytes=0, outbox_bytes=OUTBOX_BYTES)


class Tongue:
    """How a member of the room ``r`` connects, joins and speaks in a dialect."""

    def __init__(self, path: str, message: str, join: str = "") -> None:
        self.path = path
        self.headers = ""
        self.message = message
        self.first = join

    def join(self) -> bytes:
        """Return what makes a connection a member, unless its path does."""
        return client_frame(self.first) if self.first else b""

    def say(self, text: str) -> bytes:
        """Return what has the room told ``text``."""
        return client_frame(self.message % text)


class Packed(Tongue):
    """The same in MessagePack."""

    def __init__(self, path: str, message: str, join: str) -> None:
        super().__init__(path, message, join)
        self.headers = "Sec-WebSocket-Protocol: rooms.v1.msgpack\r\n"

    def join(self) -> bytes:
        return self._pack(self.first)

    def say(self, text: str) -> bytes:
        return self._pack(self.message % text)

    def _pack(self, text: str) -> bytes:
        return client_frame(msgspec.msgpack.encode(msgspec.json.decode(text)), BINARY)


JOIN = '{"type":"join","room":"r"}'
EVENT = '{"type":"event","event":"say","room":"r","payload":"%s"}'
TONGUES = {
    "native": Tongue("/ws", EVENT, JOIN),
    "msgpack": Packed("/ws", EVENT, JOIN),
    "zaptools": Tongue("/zaptools/r", '{"eventName":"say","payload":"%s","headers":{}}'),
    "fdw": Tongue(
        "/fdw/{}",
        '{"type":"send","topic":"r","msg":"%s"}',
        '{"type":"subscribe","topic":"r"}',
    ),
    "tranzit": Tongue("/tranzit/r", "say|%s"),
}


@pytest.mark.parametrize("dialect", TONGUES)
async def test_a_member_that_does_not_read_stops_nobody(
    dialect: str, autojump_clock: MockClock
) -> None:
    app = App(relay=True, dialects=DIALECTS)
    ended: list[int] = []

    @app.on("disconnected")
    def note(ctx: Context[Any]) -> None:
        assert ctx.reason is not None
        ended.append(ctx.reason.code)

    tongue = TONGUES[dialect]
    async with in_memory(app, SETTINGS) as server:
        deaf = await stuck(server, tongue.path.format("deaf"), tongue.headers)
        healthy = await connect(server, tongue.path.format("healthy"), tongue.headers)
        sender = await connect(server, tongue.path.format("sender"), tongue.headers)
        for member in (deaf, healthy, sender):
            await member.send_raw(tongue.join())
        await wait_all_tasks_blocked()
        assert len(app.room("r").members) == 3
        most_waiting = 0
        for number in range(COUNT):
            await sender.send_raw(tongue.say(f"{number} {TEXT}"))
            while TEXT.encode() not in (message := await healthy.message()):
                pass  # the greeting, and who came
            assert f"{number} x".encode() in message
            waiting = [client.waiting_bytes for client in app.clients.values()]
            most_waiting = max(most_waiting, *waiting)
        assert most_waiting <= OUTBOX_BYTES
        await trio.sleep(10)
        assert ended == [3008]
        server.nursery.cancel_scope.cancel()
