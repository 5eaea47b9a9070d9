"""`rooms.server.readings`: what a node is like at the moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App, Context
from rooms.brokers.memory import MemoryBroker
from rooms.config import Settings
from rooms.protocol.commands import Origin
from rooms.server.counters import METRICS
from rooms.server.node import Node
from rooms.server.readings import READINGS, Load, load_of
from rooms.testing import client_frame, in_memory


class BrokenBroker(MemoryBroker):
    """A broker that cannot store anything."""

    problem = "the disk is full"


@dataclass
class FakeOutbox:
    """As much of an outbox as is looked at."""

    waiting_bytes: int = 0


@dataclass
class FakeSession:
    """As much of a connection as is looked at."""

    received: int = 0
    received_bytes: int = 0
    latency: float | None = None
    rooms: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    origin: Origin = field(default_factory=Origin)
    full: bool = False
    inbox_messages: int = 0
    outbox: FakeOutbox = field(default_factory=FakeOutbox)


class FakeNode:
    """As much of a node as its connections' load needs."""

    def __init__(self, *sessions: FakeSession) -> None:
        self.sessions = dict(enumerate(sessions))
        self.endpoints: dict[str, object] = {}


def load_with(*sessions: FakeSession) -> Load:
    return load_of(cast(Node, FakeNode(*sessions)))


def read(node: Node, name: str) -> float:
    return READINGS[name].read(node, load_of(node))


def test_every_reading_says_what_it_is() -> None:
    assert all(reading.help.endswith(".") for reading in READINGS.values())


def test_no_name_is_taken_twice() -> None:
    assert not READINGS.keys() & METRICS.keys()


# What connections come to.


def test_no_connection_is_no_load() -> None:
    assert load_with() == Load()


def test_what_waits_is_added_up_and_the_most_is_told() -> None:
    idle, slow, slower = (FakeSession(outbox=FakeOutbox(size)) for size in (0, 10, 30))
    load = load_with(idle, slow, slower)
    assert (load.behind, load.outbox, load.largest) == (2, 40, 30)


def test_what_is_not_handled_yet_is_added_up() -> None:
    load = load_with(FakeSession(inbox_messages=3), FakeSession(inbox_messages=64, full=True))
    assert (load.inbox, load.paused) == (67, 1)


def test_rooms_and_filters_are_added_up() -> None:
    load = load_with(FakeSession(rooms=("a", "b"), filters=("#",)), FakeSession(rooms=("a",)))
    assert (load.memberships, load.filters) == (3, 1)


def test_a_user_with_two_connections_is_one_and_who_has_no_name_is_none() -> None:
    first, second, nobody = Origin("c1", "Ana"), Origin("c2", "Ana"), Origin("c3")
    assert load_with(*(FakeSession(origin=each) for each in (first, second, nobody))).users == {
        "Ana"
    }


def test_latency_is_the_mean_over_those_for_whom_it_is_known() -> None:
    assert load_with(*(FakeSession(latency=each) for each in (0.1, None, 0.3))).latency == 0.2


# A node.


async def test_a_node_without_clients_reads_zero() -> None:
    async with App().running() as node:
        readings = {name: read(node, name) for name in READINGS}
        assert readings.pop("broker_healthy") == 1
        assert readings.pop("nodes") == 1
        assert readings.pop("tasks") > 0
        assert readings.pop("connections_limit") > 0
        readings.pop("lag_seconds")  # is of the machine
        assert not any(readings.values())


async def test_clients_and_their_rooms_are_read() -> None:
    async with in_memory(App(relay=True, guests=True)) as server:
        ana, other = await server.connect(), await server.connect()
        await ana.request(type="auth", name="Ana", secret="s" * 20)
        await ana.join("a")
        await ana.join("b")
        await other.join("a")
        await other.request(type="subscribe", filter="#")
        expected = {"connections": 2, "clients": 2, "connects": 2, "users": 1, "open_rooms": 2}
        expected |= {"memberships": 3, "present_users": 3, "filters": 1}
        assert {name: read(server.node, name) for name in expected} == expected


async def test_what_a_client_did_is_still_counted_when_it_has_gone(
    autojump_clock: MockClock,
) -> None:
    async with in_memory(App(relay=True)) as server:
        client = await server.connect()
        await client.join("a")
        await client.event("say", "a")
        sent = read(server.node, "messages_sent")
        assert sent >= 4  # the greeting, two replies, and the event
        received = read(server.node, "received_bytes")
        assert (read(server.node, "messages_received"), received > 50) == (2, True)
        await client.close()
        await server.node.idle()
        assert read(server.node, "messages_received") == 2
        assert read(server.node, "received_bytes") >= received
        assert read(server.node, "messages_sent") >= sent
        assert (read(server.node, "clients"), read(server.node, "connects")) == (0, 1)


async def test_commands_that_wait_for_a_handler_are_read(autojump_clock: MockClock) -> None:
    app, done = App(), trio.Event()

    @app.on("work")
    async def work(ctx: Context[Any]) -> None:
        await done.wait()

    async with in_memory(app, Settings(inbox_messages=2)) as server:
        client = await server.connect()
        await client.send_raw(2 * client_frame('{"type":"event","event":"work"}'))
        await wait_all_tasks_blocked()
        assert read(server.node, "inbox_messages") == 1  # the other one is being handled
        assert read(server.node, "clients_paused") == 1
        done.set()
        await wait_all_tasks_blocked()
        assert read(server.node, "inbox_messages") == 0


async def test_a_broker_that_cannot_store_and_a_server_that_stops_are_read() -> None:
    async with App().running(broker=BrokenBroker()) as node:
        node.draining = True
        assert (read(node, "broker_healthy"), read(node, "draining")) == (0, 1)


# What ends is counted by its code.


@pytest.mark.parametrize(("code", "label"), [(1000, "1000"), (3777, "other"), (4999, "other")])
async def test_a_client_cannot_make_up_codes_that_are_counted_apart(
    autojump_clock: MockClock, code: int, label: str
) -> None:
    async with in_memory(App()) as server:
        await (await server.connect()).close(code)
        await server.node.idle()
        assert list(server.node.counters) == [("disconnects", (label,), 1)]


async def test_a_code_that_the_application_made_up_is_counted(autojump_clock: MockClock) -> None:
    async with in_memory(App()) as server:
        client = await server.connect()
        server.node.clients[client.id].close(4001, "gone fishing")
        await client.closing()
        await server.node.idle()
        assert server.node.counters.get("disconnects", "4001") == 1
