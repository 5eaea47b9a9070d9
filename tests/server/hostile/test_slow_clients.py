"""Clients that do not read, beside some that do: nobody who reads loses anything."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from rooms import App
from rooms.chat import chat_app
from rooms.core.slow import SlowPolicy
from rooms.testing import TestClient
from tests.server.hostile.ground import Ground, ground

ROOM = "ticker/1"
TEXT = "x" * 4000
BATCH = 10
COUNT = 300
LIMIT = 128 * 1024
"""Bytes that may wait for one client."""


@asynccontextmanager
async def slow_ground(app: App, **settings: Any) -> AsyncIterator[Ground]:
    """Serve ``app`` with little room in the system's own buffers; otherwise as `ground`."""
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    async with ground(app, sock=sock, outbox_bytes=LIMIT, close_seconds=0.2, **settings) as place:
        yield place


async def stuck_client(place: Ground) -> TestClient:
    """Return a member of the room for whom the system keeps little; it reads no more."""
    sock = trio.socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await sock.connect(("127.0.0.1", place.server.port))
    client = TestClient(place.keep(trio.SocketStream(sock)))
    await client.handshake()
    await client.welcome()
    await client.join(ROOM)
    return client


async def healthy_client(place: Ground) -> TestClient:
    client = await place.connect()
    await client.join(ROOM)
    return client


class Ticker:
    """Publishes batch after batch, each read by all healthy clients before the next.

    Attributes:
        most_waiting: The most bytes that ever waited for one client.
    """

    def __init__(self, place: Ground, healthy: list[TestClient]) -> None:
        self.place = place
        self.healthy = healthy
        self.count = 0
        self.most_waiting = 0

    async def run(self, count: int) -> None:
        for _ in range(count // BATCH):
            await self.publish(BATCH)
            numbers = list(range(self.count - BATCH, self.count))
            for client in self.healthy:
                assert [(await tick(client))["n"] for _ in numbers] == numbers

    async def publish(self, count: int) -> None:
        room = self.place.app.room(ROOM)
        for _ in range(count):
            await room.publish("tick", {"n": self.count, "text": TEXT})
            self.count += 1
        for client in self.place.app.clients.values():
            self.most_waiting = max(self.most_waiting, client.waiting_bytes)


async def tick(client: TestClient) -> Any:
    message = await client.receive_type("event")
    assert message["event"] == "tick"
    return message["payload"]


async def read_up_to(client: TestClient, last: int) -> tuple[list[int], int]:
    """Read until the room's ``last`` offset; return the offsets that came and how many did not.

    Whatever is missing has to be told of, in its place and by its number.
    """
    came: list[int] = []
    at = lost = 0
    while at < last:
        message = await client.receive()
        if message["type"] not in ("event", "dropped"):
            continue
        before, at = at, message["position"][1]
        if message["type"] == "dropped":
            assert (message["room"], message["count"]) == (ROOM, at - before)
            lost += at - before
        else:
            assert at == before + 1
            came.append(at)
    return came, lost


def app_with(slow: SlowPolicy | None = None) -> App:
    app = chat_app()
    if slow is not None:
        app.rooms("ticker/#", slow=slow, presence="off")
    return app


def counted(place: Ground, metric: str, policy: str, rooms: str = "ticker/#") -> int:
    return place.app.node.counters.get(metric, policy, rooms)


@pytest.mark.parametrize(("healthy", "stuck"), [(19, 1), (5, 5)])
async def test_who_reads_gets_everything_and_who_does_not_is_cut(healthy: int, stuck: int) -> None:
    async with slow_ground(app_with()) as place:
        deaf = [await stuck_client(place) for _ in range(stuck)]
        ticker = Ticker(place, [await healthy_client(place) for _ in range(healthy)])
        await ticker.run(COUNT)
        for client in deaf:
            assert await place.gone(client) == 3008
        assert ticker.most_waiting <= LIMIT
        assert counted(place, "slow_consumers", "disconnect", "#") == stuck


async def test_the_policy_that_was_said_of_a_room_is_counted_with_its_filter() -> None:
    async with slow_ground(app_with("disconnect")) as place:
        client = await stuck_client(place)
        await Ticker(place, []).run(COUNT)
        assert await place.gone(client) == 3008
        assert counted(place, "slow_consumers", "disconnect") == 1


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_who_reads_late_is_told_of_everything_that_was_dropped(policy: SlowPolicy) -> None:
    async with slow_ground(app_with(policy)) as place:
        slow = [await stuck_client(place) for _ in range(2)]
        ticker = Ticker(place, [await healthy_client(place)])
        await ticker.run(COUNT)
        losses = 0
        for client in slow:
            came, lost = await read_up_to(client, COUNT)
            assert lost > 0
            assert came[0] == 1
            assert (came[-1] == COUNT) is (policy == "drop_oldest")
            losses += lost
        await ticker.publish(1)
        for client in slow:
            assert (await tick(client))["n"] == COUNT
        assert counted(place, "slow_consumers", policy) == 2
        assert counted(place, "dropped_messages", policy) == losses
        assert ticker.most_waiting <= LIMIT


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_who_follows_a_filter_is_treated_by_the_rooms_rule(policy: SlowPolicy) -> None:
    async with slow_ground(app_with(policy)) as place:
        client = await stuck_client(place)
        await client.request(type="leave", room=ROOM)
        await client.request(type="subscribe", filter="ticker/+")
        ticker = Ticker(place, [])
        await ticker.run(COUNT)
        _, lost = await read_up_to(client, COUNT)
        assert lost == counted(place, "dropped_messages", policy) > 0


async def test_a_reply_is_never_dropped_and_keeps_its_place() -> None:
    async with slow_ground(app_with("drop_newest")) as place:
        client = await stuck_client(place)
        ticker = Ticker(place, [])
        await ticker.run(COUNT)
        position = (await client.request(type="join", room="lobby"))["position"]
        assert position[1] == 0


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_who_takes_nothing_is_cut_by_the_deadline_whatever_the_policy(
    policy: SlowPolicy,
) -> None:
    async with slow_ground(app_with(policy), write_seconds=0.3) as place:
        client = await stuck_client(place)
        await Ticker(place, []).run(COUNT)
        assert await place.gone(client) == 3008
        assert counted(place, "slow_consumers", "deadline", "#") == 1
