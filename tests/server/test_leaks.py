"""Nothing is held on to: memory after many messages is what it was after a few."""

from __future__ import annotations

import gc
import tracemalloc

from trio.testing import MockClock

from rooms import App, Context, Settings
from rooms.testing import TestClient, client_frame, in_memory

CLIENTS, WARM_UP, ROUNDS = 20, 100, 800
HELD_BYTES = 16_000
"""What tables and caches may still grow; the smallest object that is left a round would be more."""

SETTINGS = Settings(history_messages=10, history_seconds=3600, rate_messages=0, rate_joins=0)


async def _say_and_read(client: TestClient, frames: bytes, answers: int) -> None:
    await client.send_raw(frames)
    for _ in range(answers):
        await client.message()


async def test_messages_leave_nothing_behind(autojump_clock: MockClock) -> None:
    app = App(relay=True)

    @app.on("echo")
    def echo(ctx: Context[object]) -> object:
        return ctx.payload

    @app.on("wait")
    async def wait(ctx: Context[object]) -> object:
        return ctx.payload

    frames = b"".join(
        [
            client_frame('{"type":"event","event":"say","room":"r","payload":{"n":"\\u00e9"}}'),
            client_frame('{"type":"event","event":"say","room":"r","payload":1,"id":1}'),
            client_frame('{"type":"event","event":"echo","payload":[1,2,3],"id":2}'),
            client_frame('{"type":"event","event":"wait","payload":[1,2,3],"id":3}'),
            client_frame('{"type":"event","event":"nobody handles it","id":4}'),
            client_frame("no JSON at all"),
            client_frame('{"type":"join","room":"other","id":5}'),
            client_frame('{"type":"leave","room":"other","id":6}'),
        ]
    )
    async with in_memory(app, SETTINGS) as server:
        clients = [await server.connect() for _ in range(CLIENTS)]
        for number, client in enumerate(clients):
            await client.request(type="join", room="r" if number == 0 else f"r{number}")
        speaker = clients[0]

        async def rounds(number: int) -> int:
            for _ in range(number):
                await _say_and_read(speaker, frames, answers=9)
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        try:
            before = await rounds(WARM_UP)
            assert await rounds(ROUNDS) - before < HELD_BYTES
        finally:
            tracemalloc.stop()
