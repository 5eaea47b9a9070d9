"""What nodes share, on a real Valkey."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from rooms import App, Settings
from rooms.brokers.peers import Change, Peers
from rooms.brokers.redis import RedisBroker
from rooms.brokers.redis_url import parse_redis_url
from rooms.errors import Unavailable
from rooms.protocol.commands import Publication
from rooms.testing import MemoryServer, in_memory
from rooms.testing.brokers.peers import PeersTests
from tests.brokers.valkey import Cluster, Valkey

SECONDS = 10


def ignore(publication: Publication) -> None:
    """Take what nobody publishes."""


class TestRedisPeers(PeersTests):
    engine: Valkey | Cluster

    @pytest.fixture(autouse=True)
    def _engine(self, valkey: Valkey) -> None:
        self.engine = valkey

    @pytest.fixture(autouse=True)
    def _prefix(self) -> None:
        self.prefix = secrets.token_hex(4)
        self.ahead = 0.0

    @asynccontextmanager
    async def open_engine(self) -> AsyncIterator[Sequence[Peers]]:
        url = parse_redis_url(f"{self.engine.url}?prefix={self.prefix}")
        brokers = [RedisBroker(url, ahead=lambda: self.ahead) for _ in range(2)]
        async with AsyncExitStack() as stack:
            for broker in brokers:
                await stack.enter_async_context(broker.open(ignore))
            yield [broker.peers for broker in brokers]

    async def pass_time(self, clock: MockClock, seconds: float) -> None:
        self.ahead += seconds
        self.engine.pass_time(f"{self.prefix}:*", seconds)


class TestRedisPeersInACluster(TestRedisPeers):
    @pytest.fixture(autouse=True)
    def _engine(self, cluster: Cluster) -> None:
        self.engine = cluster


@asynccontextmanager
async def opened(valkey: Valkey, prefix: str, nodes: int) -> AsyncIterator[list[MemoryServer]]:
    """Run nodes on a real engine while the block runs."""
    url = parse_redis_url(f"{valkey.url}?prefix={prefix}")
    async with AsyncExitStack() as stack:
        servers = []
        for _ in range(nodes):
            app, broker = App(relay=True, guests=True), RedisBroker(url)
            opening = in_memory(app, Settings(presence_grace=0, presence_seconds=0.05), broker)
            servers.append(await stack.enter_async_context(opening))
        yield servers


async def enter(server: MemoryServer, name: str) -> None:
    """Connect as a guest and join the lobby."""
    client = await server.connect()
    reply = await client.request(type="auth", name=name, secret=name)
    assert reply["type"] == "reply", reply
    await client.join("lobby")


async def knows(server: MemoryServer, *users: str) -> None:
    """Wait until a node knows that exactly these users are in the lobby."""
    with trio.fail_after(SECONDS):
        while list(server.node.app.room("lobby").presence()) != sorted(users):
            await trio.lowlevel.checkpoint()


async def test_nodes_know_of_each_others_clients_and_leave_nothing_behind(valkey: Valkey) -> None:
    prefix = secrets.token_hex(4)
    async with opened(valkey, prefix, nodes=3) as (a, b, c):
        for server, name in ((a, "Ana"), (b, "Ben"), (c, "Cem")):
            await enter(server, name)
        for server in (a, b, c):
            await knows(server, "Ana", "Ben", "Cem")
        assert await b.node.app.send_to(list(a.node.sessions), "hi", 1) == 1
        assert await c.node.app.disconnect(next(iter(a.node.sessions))) is True
        for server in (b, c):
            await knows(server, "Ben", "Cem")
    count = "return #redis.call('KEYS', ARGV[1])"
    for kind in ("*p:*", "guest:*", "{nodes}*"):
        assert valkey.command("EVAL", count, "0", f"{prefix}:{kind}") == ":0"


async def test_a_node_whose_lease_is_lost_tells_everything_anew(valkey: Valkey) -> None:
    prefix = secrets.token_hex(4)
    async with opened(valkey, prefix, nodes=2) as (a, b):
        await enter(a, "Ana")
        await enter(b, "Ben")
        await knows(b, "Ana", "Ben")
        assert a.node.cluster is not None
        lost = f"{prefix}:{{lobby}}:p:{a.node.life}"
        assert valkey.command("DEL", lost, f"{prefix}:{{nodes}}:leases") == ":2"
        with trio.fail_after(SECONDS):
            while valkey.command("EXISTS", lost) != ":1":
                await trio.lowlevel.checkpoint()
        await knows(b, "Ana", "Ben")
        await knows(a, "Ana", "Ben")


async def test_on_an_engine_that_is_full_nodes_know_of_each_others_clients(valkey: Valkey) -> None:
    prefix = secrets.token_hex(4)
    async with opened(valkey, prefix, 2) as (here, there):
        await enter(here, "ana")
        await enter(there, "bob")
        await knows(there, "ana", "bob")
        valkey.command("CONFIG", "SET", "maxmemory", "1")
        try:
            await enter(here, "cyd")
            await knows(there, "ana", "bob", "cyd")
            async with opened(valkey, prefix, 1) as (late,):
                await enter(late, "dan")
                await knows(here, "ana", "bob", "cyd", "dan")
            await knows(here, "ana", "bob", "cyd")
        finally:
            valkey.command("CONFIG", "SET", "maxmemory", "0")


async def test_what_others_write_to_keys_of_ours_ends_nobody(valkey: Valkey) -> None:
    prefix = secrets.token_hex(4)
    broker = RedisBroker(parse_redis_url(f"{valkey.url}?prefix={prefix}"))
    peers = broker.peers
    async with broker.open(ignore), peers.open("n1", lambda data: None, lambda: None):
        leases, place = f"{prefix}:{{nodes}}:leases", f"{prefix}:{{a}}:p:n1"
        valkey.command("EVAL", "redis.call('ZADD', KEYS[1], 9e15, '\\255')", "1", leases)
        assert set(await peers.join(b"{}")) == {"n1", "\N{REPLACEMENT CHARACTER}"}
        await peers.hold(1, [Change("a", {"c1": b"{}"})])
        valkey.command("EVAL", "redis.call('HSET', KEYS[1], '\\255', '{}')", "1", place)
        [held] = await peers.held([("a", "n1")])
        assert held.entries["c1"] == b"{}"
        valkey.command("HSET", place, "", "junk")
        with pytest.raises(Unavailable):
            await peers.held([("a", "n1")])
        await peers.hold(2, [Change("a", {"c1": b"{}"}, whole=True)])
        [held] = await peers.held([("a", "n1")])
        assert held.number == 2
        valkey.command("EVAL", "redis.call('DEL', KEYS[1])", "1", leases)
