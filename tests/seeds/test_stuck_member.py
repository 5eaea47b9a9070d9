"""A member that has stopped reading, in each dialect: all others get everything, in order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App, Context, Settings
from rooms.protocol.dialects import DIALECTS
from rooms.testing import client_frame, in_memory
from tests.seeds.talk import connect, say, stuck

COUNT = 100
TEXT = "x" * 4000
OUTBOX_BYTES = 64 * 1024
SETTINGS = Settings(rate_messages=0, rate_bytes=0, outbox_bytes=OUTBOX_BYTES)


@dataclass
class Tongue:
    """How a member of the room ``r`` connects, joins and speaks in a dialect."""

    path: str
    join: str
    message: str

    def say(self, number: int) -> bytes:
        return client_frame(self.message % json.dumps(f"{number} {TEXT}")[1:-1])


TONGUES = {
    "native": Tongue(
        "/ws",
        '{"type":"join","room":"r"}',
        '{"type":"event","event":"say","room":"r","payload":"%s"}',
    ),
    "zaptools": Tongue("/zaptools/r", "", '{"eventName":"say","payload":"%s","headers":{}}'),
    "fdw": Tongue(
        "/fdw/{}", '{"type":"subscribe","topic":"r"}', '{"type":"send","topic":"r","msg":"%s"}'
    ),
    "tranzit": Tongue("/tranzit/r", "", "say|%s"),
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
        members = [
            await stuck(server, tongue.path.format("deaf")),
            await connect(server, tongue.path.format("healthy")),
            await connect(server, tongue.path.format("sender")),
        ]
        for member in members:
            if tongue.join:
                await say(member, tongue.join)
            await wait_all_tasks_blocked()
        assert len(app.room("r").members) == 3
        _, healthy, sender = members
        most_waiting = 0
        for number in range(COUNT):
            await sender.send_raw(tongue.say(number))
            while TEXT.encode() not in (message := await healthy.message()):
                pass  # the greeting, and who came
            assert f"{number} x".encode() in message
            waiting = [client.waiting_bytes for client in app.clients.values()]
            most_waiting = max(most_waiting, *waiting)
        assert most_waiting <= OUTBOX_BYTES
        await trio.sleep(10)
        assert ended == [3008]
        server.nursery.cancel_scope.cancel()
