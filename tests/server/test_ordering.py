"""One client's events are handled in order, and a client that overdoes it waits or ends."""

from __future__ import annotations

from typing import Any

import trio
import trio.testing
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App, Context
from rooms.config import Settings
from rooms.protocol.frames import PING
from rooms.server.door import Door
from rooms.testing import MemoryServer, TestClient, client_frame, in_memory

Ctx = Context[Any]


def lockstep_client(server: MemoryServer) -> TestClient:
    """Return a client whose every byte waits until the other side reads it."""
    ours, theirs = trio.testing.lockstep_stream_pair()
    server.nursery.start_soon(Door(server.node).serve_stream, theirs, "lockstep")
    return TestClient(ours)


async def send_numbers(client: TestClient, count: int, reached: list[int]) -> None:
    """Send events one after the other, noting those that the other side has read."""
    for number in range(count):
        await client.send(type="event", event="wait", payload=number, id=number)
        reached.append(number)


async def test_events_of_one_client_are_handled_in_order_one_at_a_time(
    autojump_clock: MockClock,
) -> None:
    app, handled = App(), []

    @app.on("wait")
    async def wait(ctx: Ctx) -> None:
        handled.append(f"begin {ctx.payload}")
        await trio.sleep(1 / (1 + ctx.payload))
        handled.append(f"end {ctx.payload}")

    async with in_memory(app) as server:
        client = await server.connect()
        for number in range(3):
            await client.send(type="event", event="wait", payload=number, id=number)
        await client.send(type="ping", id="last")
        answers = [(await client.receive())["id"] for _ in range(4)]
    assert answers == [0, 1, 2, "last"]
    assert handled == ["begin 0", "end 0", "begin 1", "end 1", "begin 2", "end 2"]


async def test_a_slow_handler_holds_up_no_other_client(autojump_clock: MockClock) -> None:
    app = App()

    @app.on("wait")
    async def wait(ctx: Ctx) -> None:
        await trio.sleep(60)

    async with in_memory(app) as server:
        slow, quick = await server.connect(), await server.connect()
        await slow.send(type="event", event="wait")
        start = trio.current_time()
        assert (await quick.request(type="ping"))["type"] == "pong"
        assert trio.current_time() == start


async def test_a_full_inbox_makes_the_client_wait_and_loses_nothing(
    autojump_clock: MockClock,
) -> None:
    app, handled, limit, sent = App(), [], 4, 100
    go = trio.Event()

    @app.on("wait")
    async def wait(ctx: Ctx) -> None:
        await go.wait()
        handled.append(ctx.payload)

    async with in_memory(app, Settings(inbox_messages=limit)) as server:
        client = lockstep_client(server)
        await client.handshake()
        await client.welcome()
        async with trio.open_nursery() as nursery:
            reached: list[int] = []
            nursery.start_soon(send_numbers, client, sent, reached)
            await wait_all_tasks_blocked()
            assert limit <= len(reached) <= limit + 2
            go.set()
            last = [await client.receive() for _ in range(sent)][-1]
    assert last["id"] == sent - 1
    assert handled == list(range(sent))


async def test_pongs_that_nobody_reads_are_not_hoarded(autojump_clock: MockClock) -> None:
    app, gone = App(), []

    @app.on("disconnected")
    def note(ctx: Ctx) -> None:
        assert ctx.reason is not None
        gone.append(ctx.reason.code)

    async with in_memory(app, Settings(outbox_writes=16, ping_seconds=1000)) as server:
        client = lockstep_client(server)
        await client.handshake()
        await client.welcome()
        while not gone:
            await client.send_raw(client_frame("", PING) * 10)
        await server.node.idle()
    assert gone == [3008]


async def test_an_inbox_that_fills_while_a_handler_is_busy_makes_the_client_wait(
    autojump_clock: MockClock,
) -> None:
    app = App()

    @app.on("wait")
    async def wait(ctx: Ctx) -> None:
        await trio.sleep(1)

    async with in_memory(app, Settings(inbox_messages=4, ping_seconds=1000)) as server:
        client = await server.connect()
        await client.send(type="event", event="wait", id=0)
        await wait_all_tasks_blocked()
        frames = [f'{{"type":"event","event":"wait","id":{number}}}' for number in range(1, 40)]
        await client.send_raw(b"".join(map(client_frame, frames)))
        assert [(await client.receive())["id"] for _ in range(40)] == list(range(40))


async def test_answers_that_nobody_reads_are_not_made(autojump_clock: MockClock) -> None:
    settings = Settings(outbox_bytes=100_000, ping_seconds=1000, write_seconds=1000)
    async with in_memory(App(relay=True), settings) as server:
        client = lockstep_client(server)
        await client.handshake()
        await client.welcome()
        await client.join("lobby")
        large = "x" * 20_000
        for _ in range(2):
            await client.event("say", "lobby", large)
        asked = 200
        history = client_frame('{"type":"history","room":"lobby","id":"h"}')
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send_raw, history * asked)
            await wait_all_tasks_blocked()
            (session,) = server.node.sessions.values()
            assert session.outbox.waiting_bytes < settings.outbox_bytes
            answers = [await client.receive_type("reply") for _ in range(asked)]
        assert all(len(answer["publications"]) == 2 for answer in answers)
