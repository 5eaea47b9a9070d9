"""Clients that keep the server busy, and leave while it is."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from rooms import App, Settings, serve
from rooms.protocol.frames import CONTINUATION, PING
from rooms.testing import TestClient, client_close, client_frame

FLOOD = 20_000


async def connect(port: int) -> TestClient:
    client = TestClient(await trio.open_tcp_stream("127.0.0.1", port))
    await client.handshake()
    await client.welcome()
    return client


@pytest.mark.parametrize("opcode", [CONTINUATION, PING])
async def test_a_flood_of_empty_frames_keeps_nobody_out(opcode: int) -> None:
    async with serve(App(), Settings(port=0, http=False)) as server:
        flooding, other = await connect(server.port), await connect(server.port)
        if opcode == CONTINUATION:
            await flooding.send_raw(client_frame(b"", fin=False))
        await flooding.send_raw(client_frame(b"", opcode, fin=opcode == PING) * FLOOD)
        with trio.fail_after(10):
            for _ in range(5):
                assert (await other.request(type="ping"))["type"] == "pong"
            await (await connect(server.port)).close()
        await flooding.stream.aclose()
        await other.close()


@pytest.mark.parametrize("leave", ["reset", "end"])
async def test_who_leaves_behind_a_full_inbox_is_noticed(leave: str) -> None:
    app, gone = App(), trio.Event()

    @app.on("hang")
    async def hang(ctx: Any) -> None:
        await trio.sleep_forever()

    @app.on("disconnected")
    async def disconnected(ctx: Any) -> None:
        assert ctx.reason.code == 1006
        gone.set()

    async with serve(app, Settings(port=0, inbox_messages=4, http=False)) as server:
        client = await connect(server.port)
        await client.send(type="event", event="hang")
        await client.send_raw(client_frame('{"type":"ping"}') * 50)
        while not server.node.sessions[client.id].full:
            await trio.lowlevel.checkpoint()
        if leave == "reset":
            await client.send_raw(client_close())
        await trio.aclose_forcefully(client.stream)
        with trio.fail_after(10):
            await gone.wait()
