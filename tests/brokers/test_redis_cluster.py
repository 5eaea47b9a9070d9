"""`rooms.brokers.redis` on a cluster and behind Sentinels: servers that change places."""

from __future__ import annotations

import secrets

import pytest
import trio
from msgspec import Raw

from rooms.brokers.redis_engine import slot_of
from rooms.errors import ConfigError, Unavailable
from rooms.protocol.topics import Filter
from tests.brokers.test_redis import Node
from tests.brokers.valkey import Cluster, Sentinel

ROOMS = ("a", "b", "c", "d", "e", "f")


@pytest.mark.parametrize(
    ("name", "slot"),
    [("123456789", 12739), ("foo", 12182), ("x{foo}y", 12182), ("{}foo", 5542), ("a{b", 5813)],
)
def test_a_name_has_the_slot_that_the_engine_gives_it(
    cluster: Cluster, name: str, slot: int
) -> None:
    assert cluster.servers[0].command("CLUSTER", "KEYSLOT", name) == f":{slot_of(name)}"
    assert slot in (slot_of(name), 5542, 5813)


async def test_rooms_are_on_all_shards(cluster: Cluster) -> None:
    url = f"{cluster.url}?prefix={secrets.token_hex(4)}"
    async with Node(url).opened() as here, Node(url).opened() as there:
        for room in ROOMS:
            await there.subscribe(room)
            await here.publish(room, "said", key="k")
        for room in ROOMS:
            await there.wait_for(room, "said")
            assert (await here.history(room)).publications[0].event == "said"
        with pytest.raises(Unavailable, match="filters=true"):
            await here.broker.follow(Filter("#"))


async def test_a_slot_that_moves_takes_its_rooms_along(cluster: Cluster) -> None:
    prefix = secrets.token_hex(4)
    async with Node(f"{cluster.url}?prefix={prefix}&probe=0.5").opened() as node:
        for room in ROOMS:
            await node.subscribe(room)
            await node.publish(room, "1")
        slot = slot_of(f"{prefix}:{{a}}:n")
        source = min(slot // 5461, 2)
        cluster.servers[source].command("DEL", f"{prefix}:{{a}}:n", f"{prefix}:{{a}}:s")
        cluster.move(slot, source, (source + 1) % 3)
        for room in ROOMS:
            await node.publish(room, "2", key="k")  # it is tried again where the slot is now
            await node.wait_for(room, "2")
        assert node.events("b") == ["1", "2"]


async def test_a_service_that_the_sentinels_do_not_know_is_a_clear_mistake() -> None:
    with Sentinel() as sentinel, pytest.raises(ConfigError, match="the Sentinels know no 'other'"):
        async with Node(sentinel.url.replace("/main", "/other"), patience=0).opened():
            pass


async def test_the_sentinels_say_which_server_it_is_now() -> None:
    with Sentinel() as sentinel:
        async with Node(f"{sentinel.url}?prefix=s&probe=0.3").opened() as node:
            await node.subscribe("a")
            first = await node.publish("a", "1", key="k")
            await trio.to_thread.run_sync(sentinel.fail_over)
            await trio.to_thread.run_sync(sentinel.primary.kill)
            assert await node.publish("a", "1", key="k") == first
            await node.publish("a", "2")
            await node.wait_for("a", "2")
            assert (node.events("a"), node.lost) == (["1", "2"], [])


@pytest.mark.slow
async def test_a_node_may_start_while_a_replica_takes_over() -> None:
    with Cluster() as cluster, cluster.add_replica(0):
        await trio.to_thread.run_sync(cluster.servers[0].kill)
        hosts = cluster.url.replace(f":{cluster.servers[0].port}", f":{cluster.servers[2].port}")
        async with Node(f"{hosts}?prefix=p&probe=0.5", patience=20).opened() as node:
            for room in ROOMS:
                await node.publish(room, "1")


@pytest.mark.slow
async def test_a_replica_takes_over_and_its_rooms_go_on() -> None:
    with Cluster() as cluster, cluster.add_replica(0) as replica:
        assert slot_of("p:{b}:n") < 5461  # one of the rooms is on the server that dies
        async with Node(f"{cluster.url}?prefix=p&probe=0.5", patience=20).opened() as node:
            for room in ROOMS:
                await node.subscribe(room)
                await node.publish(room, "1", key="k")
            while replica.command("DBSIZE") != cluster.servers[0].command("DBSIZE"):
                pass
            await trio.to_thread.run_sync(cluster.servers[0].kill)
            for room in ROOMS:
                await node.broker.publish(room, "2", Raw(b"1"), None, "k2")
            for room in ROOMS:
                await node.wait_for(room, "2")
                assert node.events(room) == ["1", "2"]
            assert node.lost == []
