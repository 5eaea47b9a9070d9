"""Publishing with a key: sent again, it is published once and answered as the first time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App, Context, Settings
from rooms.brokers.base import KEY_SECONDS, Broker
from rooms.brokers.memory import MemoryBroker
from rooms.errors import Unavailable
from rooms.testing import MemoryServer, TestClient, in_memory
from tests.brokers.bus import Bus, BusBroker
from tests.server.rejoin import ROOM, events_up_to, publish
from tests.server.slow_broker import SlowBroker

MakeBroker = Callable[[], Broker]


@pytest.fixture(params=[MemoryBroker, lambda: BusBroker(Bus())], ids=["at once", "over a bus"])
def make_broker(request: pytest.FixtureRequest) -> MakeBroker:
    return request.param  # type: ignore[no-any-return]  # what the line above gives


def relay() -> App:
    return App(relay=True, guests=True)


async def member(server: MemoryServer, name: str = "") -> TestClient:
    """Return a client in the room, signed in if it has a name."""
    client = await server.connect()
    if name:
        await client.request(type="auth", name=name, secret=f"of {name}")
    await client.join(ROOM)
    return client


async def say(client: TestClient, payload: int, key: str | None = "k", room: str = ROOM) -> Any:
    """Publish with a key and return the position."""
    reply = await client.request(type="event", event="say", room=room, payload=payload, key=key)
    return reply["position"]


async def test_what_is_sent_again_is_published_once(make_broker: MakeBroker) -> None:
    async with in_memory(relay(), broker=make_broker()) as server:
        ana = await member(server)
        first = await say(ana, 1)
        assert await say(ana, 1) == first
        assert await say(ana, 2, key=None) != first
        assert await events_up_to(ana, 2) == [1, 2]


async def test_a_user_may_send_it_again_over_another_connection(make_broker: MakeBroker) -> None:
    async with in_memory(relay(), broker=make_broker()) as server:
        watcher, ana = await member(server), await member(server, "Ana")
        first = await say(ana, 1)
        await ana.stream.aclose()
        again = await member(server, "Ana")
        assert await say(again, 1) == first
        await say(again, 2, "other")
        assert await events_up_to(watcher, 2) == [1, 2]


async def test_the_key_of_somebody_else_is_another_key(make_broker: MakeBroker) -> None:
    async with in_memory(relay(), broker=make_broker()) as server:
        senders = [await member(server, name) for name in ("Ana", "Bob", "", "")]
        positions = [await say(sender, n) for n, sender in enumerate(senders, 1)]
        assert [offset for _, offset in positions] == [1, 2, 3, 4]
        assert [await say(sender, 9) for sender in senders] == positions
        assert await events_up_to(senders[-1], 4) == [1, 2, 3, 4]
        assert (await senders[0].request(type="history", room=ROOM))["position"] == positions[-1]


async def test_a_key_holds_in_its_room_only(make_broker: MakeBroker) -> None:
    async with in_memory(relay(), broker=make_broker()) as server:
        ana = await member(server)
        await ana.join("other")
        assert (await say(ana, 1), await say(ana, 2, room="other")) == (
            await say(ana, 3),
            await say(ana, 4, room="other"),
        )
        assert [event["payload"] for event in ana.kept_events()] == [1, 2]


async def test_a_key_is_forgotten_after_five_minutes(
    make_broker: MakeBroker, autojump_clock: MockClock
) -> None:
    async with in_memory(relay(), Settings(ping_seconds=1000), make_broker()) as server:
        ana = await member(server)
        first = await say(ana, 1)
        await trio.sleep(KEY_SECONDS - 1)
        assert await say(ana, 1) == first
        await trio.sleep(2)
        assert await say(ana, 2) == [first[0], first[1] + 1]
        assert await events_up_to(ana, 2) == [1, 2]


async def test_a_key_needs_no_history(make_broker: MakeBroker) -> None:
    app = relay()
    app.rooms("#", history=0)
    async with in_memory(app, broker=make_broker()) as server:
        ana = await member(server)
        first = await say(ana, 1)
        await publish(ana, 3, first=2)
        assert await say(ana, 1) == first
        assert await events_up_to(ana, 4) == [1, 2, 3, 4]


async def test_a_second_try_may_come_while_the_first_is_under_way(
    autojump_clock: MockClock,
) -> None:
    bus = Bus()
    async with in_memory(relay(), broker=BusBroker(bus)) as server:
        watcher, ana, tab = [await member(server, name) for name in ("", "Ana", "Ana")]
        async with bus.lock:
            for sender in (ana, tab):
                await sender.send(
                    type="event", event="say", room=ROOM, payload=1, key="k", id="try"
                )
            await wait_all_tasks_blocked()
            assert watcher.kept_events() == []
        replies = [await sender.receive_type("reply") for sender in (ana, tab)]
        assert replies[0] == replies[1]
        await publish(watcher, 1, first=2)
        assert await events_up_to(watcher, 2) == [1, 2]


async def test_a_try_whose_sender_was_lost_counts(autojump_clock: MockClock) -> None:
    broker = SlowBroker()
    async with in_memory(relay(), broker=broker) as server:
        watcher, ana = await member(server), await member(server, "Ana")
        broker.answered["publish"].close()
        await ana.send(type="event", event="say", room=ROOM, payload=1, key="k", id=1)
        await wait_all_tasks_blocked()
        await ana.stream.aclose()
        await wait_all_tasks_blocked()
        broker.answered["publish"].open()
        again = await member(server, "Ana")
        assert (await say(again, 1))[1] == 1
        await publish(watcher, 1, first=2)
        assert await events_up_to(watcher, 2) == [1, 2]


async def test_a_try_that_failed_does_not_count() -> None:
    broker = SlowBroker()
    async with in_memory(relay(), broker=broker) as server:
        ana = await member(server)
        broker.asked["publish"].trouble = Unavailable()
        error = await ana.request(type="event", event="say", room=ROOM, payload=1, key="k")
        assert error["code"] == "unavailable"
        broker.asked["publish"].trouble = None
        assert (await say(ana, 1))[1] == 1
        assert await events_up_to(ana, 1) == [1]


async def test_a_handler_passes_the_key_on(make_broker: MakeBroker) -> None:
    app = App(guests=True)

    @app.on("say", room="#")
    async def speak(ctx: Context[int]) -> Any:
        assert ctx.room is not None
        return {"position": await ctx.room.publish("said", ctx.payload, key=ctx.key)}

    async with in_memory(app, broker=make_broker()) as server:
        ana, bob = await member(server, "Ana"), await member(server, "Bob")
        tries = [("k", ana), ("k", ana), ("k", bob), (None, ana), (None, ana)]
        offsets = [await handled(client, key) for key, client in tries]
        assert offsets == [1, 1, 2, 3, 4]


async def handled(client: TestClient, key: str | None) -> int:
    """Have a handler publish; returns the offset that it replies with."""
    reply = await client.request(type="event", event="say", room=ROOM, payload=1, key=key)
    return int(reply["payload"]["position"][1])


async def test_an_application_has_keys_of_its_own(make_broker: MakeBroker) -> None:
    app = relay()
    async with in_memory(app, broker=make_broker()) as server:
        ana = await member(server)
        first = await app.room(ROOM).publish("say", 1, key="k")
        assert await app.room(ROOM).publish("say", 1, key="k") == first
        assert (await say(ana, 2))[1] == 2
        assert await events_up_to(ana, 2) == [1, 2]


@pytest.mark.parametrize("key", ["", "x" * 129, 7])
async def test_a_key_is_a_short_text(key: Any) -> None:
    async with in_memory(relay()) as server:
        ana = await member(server)
        error = await ana.request(type="event", event="say", room=ROOM, key=key)
        assert error["code"] == "malformed"
        assert "$.key" in error["message"]


async def test_ids_that_begin_anew_after_a_restart_share_no_keys() -> None:
    bus = Bus()
    positions = []
    for _ in range(2):
        async with in_memory(relay(), broker=BusBroker(bus)) as server:
            nobody = await member(server)
            assert nobody.id == "c1"
            positions.append(await say(nobody, 1))
    assert positions[0] != positions[1]


async def test_one_key_covers_what_one_handler_publishes_under_different_names() -> None:
    app = App()

    @app.on("say")
    async def say_and_count(ctx: Context[Any]) -> list[Any]:
        assert ctx.room is not None
        said = await ctx.room.publish("said", ctx.payload, key=ctx.key)
        return [said, await ctx.room.publish("counted", 1, key=ctx.key)]

    async with in_memory(app) as server:
        ana = await member(server)
        replies = [
            (await ana.request(type="event", event="say", room=ROOM, payload=1, key="k"))["payload"]
            for _ in range(2)
        ]
    assert replies[0] == replies[1]
    assert replies[0][0] != replies[0][1]
