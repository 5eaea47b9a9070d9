"""What made a server with apistar-websocket fail, tried here."""

from __future__ import annotations

from structlog.testing import capture_logs
from trio.testing import MockClock

from rooms import App, Disconnect, WebSocket
from rooms.protocol.frames import CLOSE
from rooms.testing import Frame, in_memory
from tests.seeds.talk import connect


async def test_nothing_is_said_that_the_handler_did_not_say(autojump_clock: MockClock) -> None:
    app = App()

    async def here(ws: WebSocket) -> object:
        return {"not": "sent"}

    app.websocket("/here")(here)  # type: ignore[type-var]  # what it returns is of no interest

    async with in_memory(app) as server:
        client = await connect(server, "/here")
        assert await client.frame() == Frame(CLOSE, (1000).to_bytes(2, "big"))


async def test_to_say_goodbye_to_who_has_left_is_no_failure(autojump_clock: MockClock) -> None:
    app = App()
    ends: list[int] = []

    @app.websocket("/here")
    async def here(ws: WebSocket) -> None:
        try:
            await ws.receive()
        except Disconnect as end:
            ends.append(end.code)
        await ws.close(1000, "bye")

    with capture_logs() as logs:
        async with in_memory(app) as server:
            client = await connect(server, "/here")
            await client.close(4001)
            await server.node.idle()
    assert ends == [4001]
    assert "handler failed" not in [line["event"] for line in logs]
