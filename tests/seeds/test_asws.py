"""What made a server with asws fail, tried here."""

from __future__ import annotations

from typing import Any

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App, Context, WebSocket
from rooms.testing import in_memory
from tests.seeds.talk import connect, hear, say

Ctx = Context[Any]


async def test_nothing_is_handled_before_a_client_is_welcome(autojump_clock: MockClock) -> None:
    app = App()
    steps: list[str] = []

    @app.on("connected")
    async def greet(ctx: Ctx) -> None:
        await trio.sleep(1)
        assert ctx.client.id in ctx.app.clients
        steps.append("connected")

    app.on("say")(lambda ctx: steps.append("said"))
    async with in_memory(app) as server:
        client = await server.connect()
        await client.event("say")
        assert steps == ["connected", "said"]


async def test_who_leaves_while_being_welcomed_is_kept_nowhere(autojump_clock: MockClock) -> None:
    app = App()

    @app.on("connected")
    async def greet(ctx: Ctx) -> None:
        await trio.sleep(1)

    async with in_memory(app) as server:
        client = await server.connect()
        await trio.aclose_forcefully(client.stream)
        await trio.sleep(60)
        assert app.clients == {}
        assert len(server.node.connections) == 0


async def test_a_later_message_does_not_overtake_a_slow_one(autojump_clock: MockClock) -> None:
    app = App()

    @app.websocket("/here")
    async def here(ws: WebSocket) -> None:
        async for message in ws:
            await trio.sleep(1 if message == "slow" else 0)
            await ws.send(message)

    async with in_memory(app) as server:
        client = await connect(server, "/here")
        await say(client, "slow")
        await say(client, "quick")
        assert [await hear(client), await hear(client)] == ["slow", "quick"]
        await client.close()


async def test_a_server_may_end_without_ever_having_had_a_client() -> None:
    app = App()
    for _ in range(2):
        async with in_memory(app):
            await wait_all_tasks_blocked()


async def test_headers_may_look_odd(autojump_clock: MockClock) -> None:
    request = (
        "GET /here HTTP/1.1\r\nhost:rooms.test\r\nCONNECTION:  keep-alive , Upgrade\r\n"
        "uPgRaDe:WebSocket\r\nsec-websocket-version:13\r\nX-Note: a: b\r\nX-Empty:\r\n"
        "sec-websocket-key:dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    app = App()

    @app.websocket("/here")
    async def here(ws: WebSocket) -> None:
        await ws.send(repr((ws.headers["x-note"], ws.headers["x-empty"])))

    async with in_memory(app) as server:
        stream = server.open_stream()
        await stream.send_all(request.encode())
        answer = b""
        while not answer.endswith(b"('a: b', '')"):
            answer += await stream.receive_some()
        assert answer.startswith(b"HTTP/1.1 101 ")
