"""`rooms.brokers.redis` on a real Valkey: what breaks, and what is told of it."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
import trio
import trio.testing
import trustme
from msgspec import Raw

from rooms.brokers.redis import RedisBroker
from rooms.brokers.redis_calls import AWAY, Call
from rooms.brokers.redis_rooms import HELD
from rooms.brokers.redis_scripts import RENEW
from rooms.brokers.redis_url import parse_redis_url
from rooms.brokers.urls import make_broker
from rooms.core.groups import root_of
from rooms.core.history import NOTHING, Retention
from rooms.errors import ConfigError, Unavailable
from rooms.protocol.commands import Position, Publication
from rooms.protocol.topics import Filter
from rooms.testing.brokers.node import KEPT, BrokerNode, events_of
from rooms.testing.faults import FaultProxy, fault_proxy
from tests.brokers.valkey import Valkey, free_port

SECONDS = 10
QUICK = "probe=0.3"


class Node(BrokerNode):
    """A node that is told what is lost, too."""

    broker: RedisBroker

    def __init__(self, url: str, patience: float = SECONDS) -> None:
        super().__init__(RedisBroker(parse_redis_url(url), patience))
        self.lost: list[tuple[str, Position]] = []

    def lose(self, room: str, position: Position) -> None:
        self.lost.append((room, position))
        self._changed.set()

    async def until_lost(self, count: int = 1) -> Position:
        """Wait until that much was told as lost; return the last position."""
        with trio.fail_after(SECONDS):
            while len(self.lost) < count:
                self._changed = trio.Event()
                await self._changed.wait()
        return self.lost[-1][1]

    @asynccontextmanager
    async def opened(self, retain: Retention = KEPT) -> AsyncIterator[Node]:
        self.is_open = True
        async with self.broker.open(self.deliver, lambda room: retain, self.lose):
            yield self


def url_of(valkey: Valkey, options: str = QUICK) -> str:
    return f"{valkey.url}?prefix={secrets.token_hex(4)}&{options}"


def through(proxy: FaultProxy) -> str:
    return f"redis://127.0.0.1:{proxy.port}?prefix={secrets.token_hex(4)}&{QUICK}"


async def until_away(broker: RedisBroker) -> None:
    """Wait until the broker says that something is wrong."""
    with trio.fail_after(SECONDS):
        while broker.problem is None:
            await trio.lowlevel.checkpoint()


async def until_back(broker: RedisBroker) -> None:
    with trio.fail_after(SECONDS):
        while broker.problem is not None:
            await trio.lowlevel.checkpoint()


async def test_with_a_log_nothing_is_lost_when_the_engine_is_killed() -> None:
    with Valkey(appendonly="yes", appendfsync="always") as valkey:
        async with Node(url_of(valkey)).opened() as node:
            await node.subscribe("a")
            first = await node.publish("a", "1", key="k")
            await node.wait_for("a", "1")
            await trio.to_thread.run_sync(valkey.kill)
            await until_away(node.broker)
            await trio.to_thread.run_sync(valkey.start)
            assert await node.publish("a", "1", key="k") == first
            assert await node.publish("a", "2") == Position(first.epoch, 2)
            await node.wait_for("a", "2")
            assert (node.events("a"), node.lost) == (["1", "2"], [])
            await until_back(node.broker)


async def test_a_node_that_nothing_happens_on_waits_and_does_not_ask(valkey: Valkey) -> None:
    async with Node(f"{valkey.url}?prefix={secrets.token_hex(4)}").opened() as node:
        await node.subscribe("a")
        with trio.fail_after(SECONDS):
            await trio.testing.wait_all_tasks_blocked(0.1)


async def test_without_one_the_epoch_changes_and_everybody_is_told() -> None:
    with Valkey() as valkey:
        async with Node(url_of(valkey)).opened() as node:
            await node.subscribe("a")
            before = await node.publish("a", "1")
            await node.wait_for("a", "1")
            await trio.to_thread.run_sync(valkey.kill)
            await trio.to_thread.run_sync(valkey.start)
            now = await node.until_lost()
            assert (now.epoch != before.epoch, now.offset) == (True, 0)
            assert await node.publish("a", "2") == Position(now.epoch, 1)
            await node.wait_for("a", "2")


async def test_a_publication_waits_for_an_engine_that_is_away_and_then_fails() -> None:
    with Valkey() as valkey:
        async with Node(url_of(valkey), patience=0.5).opened() as node:
            await trio.to_thread.run_sync(valkey.kill)
            await until_away(node.broker)
            with pytest.raises(Unavailable) as caught:
                await node.publish("a", "1")
            assert (str(caught.value), bool(caught.value.retry_after)) == (AWAY, True)
            with pytest.raises(Unavailable):
                await node.subscribe("a")
            with pytest.raises(Unavailable):
                await node.history("a")
            assert "away" in (node.broker.problem or "")


async def publish_unkeyed(node: Node, caught: list[Unavailable]) -> None:
    """Publish something that must fail, and keep the error."""
    with pytest.raises(Unavailable) as error:
        await node.publish("a", "unkeyed")
    caught.append(error.value)


async def until_published(near: Node) -> None:
    """Wait until the room has something in its history."""
    with trio.fail_after(SECONDS):
        while not (await near.history("a")).publications:
            pass


@pytest.mark.parametrize("broken", [True, False])
async def test_nobody_knows_of_what_was_under_way_without_a_key_when_the_engine_went_away(
    mock_clock: trio.testing.MockClock, valkey: Valkey, broken: bool
) -> None:
    caught: list[Unavailable] = []
    async with fault_proxy(valkey.port) as proxy:
        far = Node(through(proxy), patience=0.1)  # given up before the probe finds out
        near = Node(f"{valkey.url}?prefix={far.broker.engine.url.options.prefix}")
        async with far.opened(), near.opened():
            await far.publish("b", "1")
            for line in proxy.lines.values():
                line.down.stall()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(publish_unkeyed, far, caught)
                await until_published(near)
                if not broken:
                    mock_clock.jump(0.1)
                for line in list(proxy.lines.values()) if broken else []:
                    line.cut()
            assert "nobody knows whether this was published. Publish with a key" in str(caught[0])
            assert caught[0].retry_after
            assert events_of(await near.history("a")) == ["unkeyed"]


async def test_what_was_begun_fails_in_time_where_the_engine_is_away() -> None:
    with Valkey() as valkey:
        async with Node(url_of(valkey), patience=0.5).opened() as node:
            await trio.to_thread.run_sync(valkey.kill)
            await until_away(node.broker)
            landed = trio.Event()
            begun = node.broker.begin_publish("a", "1", Raw(b"1"), None, None, landed.set)
            with trio.fail_after(SECONDS):
                await landed.wait()
            with pytest.raises(Unavailable) as caught:
                begun.position()
            assert (bool(caught.value.retry_after), node.broker.counts["given_up"]) == (True, 1)


async def test_what_is_published_while_it_is_away_is_published_when_it_is_back() -> None:
    with Valkey() as valkey:
        async with Node(url_of(valkey)).opened() as node, trio.open_nursery() as nursery:
            await trio.to_thread.run_sync(valkey.kill)
            await until_away(node.broker)
            nursery.start_soon(node.publish_all, "a", "1", "2")
            await trio.testing.wait_all_tasks_blocked()
            await trio.to_thread.run_sync(valkey.start)
            await node.subscribe("a")
            await node.publish("a", "3")
            await node.wait_for("a", "3")


async def test_what_a_cut_link_swallowed_is_read_from_the_stream(valkey: Valkey) -> None:
    async with fault_proxy(valkey.port) as proxy:
        far = Node(through(proxy))
        near = Node(f"{valkey.url}?prefix={far.broker.engine.url.options.prefix}")
        async with far.opened(), near.opened():
            await far.subscribe("a")
            await near.publish("a", "1")
            await far.wait_for("a", "1")
            for line in list(proxy.lines.values()):
                line.cut()
            await near.publish_all("a", "2", "3", "4")
            await far.wait_for("a", "4")
            assert (far.events("a"), far.lost) == (["1", "2", "3", "4"], [])


async def test_a_stalled_link_is_found_by_the_probe_and_made_anew(valkey: Valkey) -> None:
    async with fault_proxy(valkey.port) as proxy:
        far = Node(through(proxy))
        near = Node(f"{valkey.url}?prefix={far.broker.engine.url.options.prefix}")
        async with far.opened(), near.opened():
            await far.subscribe("a")
            for line in list(proxy.lines.values()):
                line.down.stall()
            await near.publish_all("a", "1", "2")
            await until_away(far.broker)
            assert far.broker.counts["deaf"] == 1
            await far.wait_for("a", "2")
            assert (far.events("a"), far.lost) == (["1", "2"], [])
            await until_back(far.broker)


async def test_who_reads_too_slowly_is_cut_by_the_engine_and_reads_the_stream(
    valkey: Valkey,
) -> None:
    valkey.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 1mb 1")
    async with fault_proxy(valkey.port) as proxy:
        far = Node(f"redis://127.0.0.1:{proxy.port}?prefix={secrets.token_hex(4)}&probe=5")
        near = Node(f"{valkey.url}?prefix={far.broker.engine.url.options.prefix}")
        async with far.opened(), near.opened():
            await far.subscribe("a")
            for line in list(proxy.lines.values()):
                line.down.stall()
            for number in range(98):  # 49 MB: more than the system holds
                await near.publish("a", f"{number}", b'"' + b"x" * 500_000 + b'"')
            for line in list(proxy.lines.values()):
                line.down.resume()
            await far.wait_for("a", "97")
            assert (far.events("a"), far.lost) == ([f"{n}" for n in range(98)], [])
            assert far.broker.counts["failures"] == 1


async def test_without_history_a_gap_is_told(valkey: Valkey) -> None:
    async with fault_proxy(valkey.port) as proxy:
        far = Node(through(proxy))
        near = Node(f"{valkey.url}?prefix={far.broker.engine.url.options.prefix}")
        async with far.opened(NOTHING), near.opened(NOTHING):
            await far.subscribe("a")
            await near.publish("a", "1")
            await far.wait_for("a", "1")
            for line in list(proxy.lines.values()):
                line.cut()
            positions = await near.publish_all("a", "2", "3")
            assert await far.until_lost() == positions[-1]
            await near.publish("a", "4")
            await far.wait_for("a", "4")
            assert far.events("a") == ["1", "4"]


async def test_what_is_not_kept_any_more_is_told_as_lost(valkey: Valkey) -> None:
    async with fault_proxy(valkey.port) as proxy:
        far = Node(through(proxy))
        near = Node(f"{valkey.url}?prefix={far.broker.engine.url.options.prefix}")
        retention = Retention(2, 60)
        async with far.opened(retention), near.opened(retention):
            await far.subscribe("a")
            await near.publish("a", "1")
            await far.wait_for("a", "1")
            for line in list(proxy.lines.values()):
                line.cut()
            positions = await near.publish_all("a", *"2345")
            await far.wait_for("a", "5")
            assert far.events("a") == ["1", "4", "5"]
            assert far.lost == [("a", positions[1])]


@pytest.mark.parametrize("command", [["FLUSHALL"], ["DEL", "{}:{a}:n"]])
async def test_data_that_is_gone_begins_a_new_epoch(valkey: Valkey, command: list[str]) -> None:
    async with Node(url_of(valkey)).opened() as node:
        await node.subscribe("a")
        old = await node.publish("a", "1", key="k")
        await node.wait_for("a", "1")
        prefix = node.broker.engine.url.options.prefix
        valkey.command(*[word.replace("{}", prefix) for word in command])
        new = await node.publish("a", "2", key="k")
        assert (new.epoch != old.epoch, new.offset) == (True, 1)
        await node.wait_for("a", "2")
        assert node.lost == [("a", Position(new.epoch, 0))]
        assert [each.event for each in (await node.history("a")).publications] == ["2"]


async def test_a_count_that_went_back_begins_a_new_epoch(valkey: Valkey) -> None:
    async with fault_proxy(valkey.port) as proxy:
        far = Node(through(proxy))
        async with far.opened():
            await far.subscribe("a")
            prefix = far.broker.engine.url.options.prefix
            last = (await far.publish_all("a", "1", "2", "3"))[-1]
            await far.wait_for("a", "3")
            valkey.command("HSET", f"{prefix}:{{a}}:n", "n", "2")  # as an older replica has it
            valkey.command("XDEL", f"{prefix}:{{a}}:s", "3-0")
            for line in list(proxy.lines.values()):
                line.cut()
            assert (await far.until_lost()).epoch != last.epoch


async def test_a_key_holds_however_often_the_epoch_changed(valkey: Valkey) -> None:
    async with Node(url_of(valkey)).opened() as node:
        first = await node.publish("a", "once", key="k")
        engine = node.broker.engine
        count, channel = engine.names.room("n", "a"), engine.names.room("c", "a")
        epochs = [first.epoch, "second", "third"]
        for old, new in itertools.pairwise(epochs):
            await engine.call(Call(RENEW, [count], [old, new, "PUBLISH", channel]))
            assert await node.publish("a", "once", key="k") == Position(new, first.offset)


async def test_the_scripts_may_be_forgotten(valkey: Valkey) -> None:
    async with Node(url_of(valkey)).opened() as node:
        await node.subscribe("a")
        await node.publish("a", "1")
        valkey.command("SCRIPT", "FLUSH")
        await node.publish_all("a", "2", "3")
        await node.wait_for("a", "3")
        assert node.events("a") == ["1", "2", "3"]


async def test_foreign_messages_are_counted_and_ignored(valkey: Valkey) -> None:
    async with Node(url_of(valkey)).opened() as node:
        await node.subscribe("a")
        channel = f"{node.broker.engine.url.options.prefix}:{{a}}:c"
        for junk in ("", "junk", "e 1 1\n[", "e 1 1\n[1]", "\n" * 10, "e x 1\n", "x" * 2_000_000):
            valkey.command("PUBLISH", channel, junk)
        await node.publish("a", "1")
        await node.wait_for("a", "1")
        assert node.events("a") == ["1"]
        assert node.broker.counts["oversized"] == 1
        assert node.broker.counts["malformed"] == 6
        assert node.broker.counts["ignored"] == 7


async def test_the_end_of_who_listens_is_the_end_of_the_broker(valkey: Valkey) -> None:
    url = url_of(valkey)
    broker = RedisBroker(parse_redis_url(url))

    def deliver(publication: Publication) -> None:
        raise KeyError(publication.event)

    async def run() -> None:
        async with broker.open(deliver, lambda room: KEPT):
            await broker.subscribe("a")
            await other.publish("a", "1")
            await trio.sleep_forever()

    with trio.fail_after(SECONDS):
        async with Node(url).opened() as other:
            with pytest.raises(ExceptionGroup) as caught:
                await run()
    assert isinstance(root_of(caught.value), KeyError)


async def test_a_foreign_message_ahead_of_all_others_is_not_waited_for(valkey: Valkey) -> None:
    async with Node(url_of(valkey)).opened() as node:
        epoch = (await node.subscribe("a")).epoch
        channel = f"{node.broker.engine.url.options.prefix}:{{a}}:c"
        valkey.command("PUBLISH", channel, f'{epoch} 99 1\n[1,"a","junk",1]')
        await node.publish("a", "1")
        await node.wait_for("a", "1")
        assert (node.events("a"), node.lost) == (["1"], [])
        assert node.broker.counts["malformed"] == 1


async def test_more_may_come_while_a_room_catches_up_than_is_held(valkey: Valkey) -> None:
    events = [str(number) for number in range(HELD + 50)]
    async with Node(url_of(valkey)).opened(Retention(len(events), 60)) as node:
        await node.subscribe("a")
        prefix = node.broker.engine.url.options.prefix
        valkey.command("HSET", f"{prefix}:{{a}}:n", "n", "1")  # the first is never heard
        async with trio.open_nursery() as nursery:
            for event in events:
                nursery.start_soon(node.publish, "a", event)
        with trio.fail_after(SECONDS):
            while len(node.events("a")) < len(events):
                await trio.lowlevel.checkpoint()
        assert sorted(node.events("a"), key=int) == events
        assert node.lost[0][1].offset == 1
        await node.publish("a", "after")
        await node.wait_for("a", "after")


async def test_a_newer_nodes_messages_are_skipped_as_lost(valkey: Valkey) -> None:
    async with Node(url_of(valkey)).opened(NOTHING) as node:
        start = await node.subscribe("a")
        prefix = node.broker.engine.url.options.prefix
        valkey.command("HSET", f"{prefix}:{{a}}:n", "n", "1")
        newer = f'{start.epoch} 1 5\n[2,"a",{{"all":"new"}}]'
        valkey.command("PUBLISH", f"{prefix}:{{a}}:c", newer)
        assert await node.until_lost() == Position(start.epoch, 1)
        assert node.broker.counts["newer"] == 1
        await node.publish("a", "2")
        await node.wait_for("a", "2")


async def test_a_key_of_another_kind_fails_its_room_only(valkey: Valkey) -> None:
    async with Node(url_of(valkey)).opened() as node:
        prefix = node.broker.engine.url.options.prefix
        valkey.command("SET", f"{prefix}:{{bad}}:n", "x")
        with pytest.raises(Unavailable):
            await node.publish("bad", "1")
        await node.subscribe("a")
        await node.publish("a", "1")
        await node.wait_for("a", "1")


async def test_a_stream_that_others_write_to_fails_its_room_only(valkey: Valkey) -> None:
    async with Node(url_of(valkey)).opened() as node:
        prefix = node.broker.engine.url.options.prefix
        epoch = "redis.call('HSET', KEYS[1], 'e', '\\255', 'n', 1)"
        valkey.command("EVAL", epoch, "1", f"{prefix}:{{bad}}:n")
        valkey.command("HSET", f"{prefix}:{{worse}}:n", "e", "e1", "n", "1")
        valkey.command("XADD", f"{prefix}:{{worse}}:s", "1-0", "t", "9999999999000000")
        with structlog.testing.capture_logs() as logs:
            for room in ("bad", "worse"):
                with pytest.raises(Unavailable):
                    await node.history(room)
            with pytest.raises(Unavailable):
                await node.publish("bad", "1")
        assert logs[0]["event"] == "what a key of ours holds makes no sense"
        await node.subscribe("a")
        await node.publish("a", "1")
        await node.wait_for("a", "1")


async def test_a_full_engine_takes_no_publication_but_keeps_what_it_has(valkey: Valkey) -> None:
    async with Node(url_of(valkey)).opened() as node:
        await node.publish("a", "1")
        peers = node.broker.peers
        with structlog.testing.capture_logs() as logs:
            async with peers.open("n1", lambda data: None, lambda: None):
                await peers.join(b"{}")
                valkey.command("CONFIG", "SET", "maxmemory", "1")
                try:
                    for room in ("a", "a", "new"):
                        with pytest.raises(Unavailable):
                            await node.publish(room, "2")
                    assert [p.event for p in (await node.history("a")).publications] == ["1"]
                    assert await peers.renew(b"{}") is not None
                finally:
                    valkey.command("CONFIG", "SET", "maxmemory", "0")
        assert (await node.publish("a", "2")).offset == 2
        refusals = [each for each in logs if each["event"] == "the engine refused a script"]
        assert [each["refused"] for each in refusals] == [1]  # not as often as it happened


async def test_what_is_kept_for_ever_is_kept(valkey: Valkey) -> None:
    async with Node(url_of(valkey)).opened(Retention(10, float("inf"))) as node:
        await node.subscribe("a")
        await node.publish("a", "1")
        await node.wait_for("a", "1")
        assert [p.event for p in (await node.history("a")).publications] == ["1"]


async def test_without_patience_a_call_may_still_take_its_time(valkey: Valkey) -> None:
    broker = make_broker(url_of(valkey), patience=0)
    async with broker.open(lambda publication: None):
        assert (await broker.publish("a", "1", Raw(b"1"))).offset == 1


async def test_a_burst_is_carried_by_few_pipelines_in_order(valkey: Valkey) -> None:
    positions: list[Position] = []

    async def publish(node: Node, number: int) -> None:
        positions.append(await node.broker.publish("a", f"{number}", Raw(b"1")))

    async with Node(url_of(valkey, "probe=5")).opened(Retention(1000, 60)) as node:
        await node.subscribe("a")
        async with trio.open_nursery() as nursery:
            for number in range(1000):
                nursery.start_soon(publish, node, number)
        assert len({position.offset for position in positions}) == 1000
        await node.publish("a", "last")
        await node.wait_for("a", "last")
        assert [each.position.offset for each in node.delivered] == list(range(1, 1002))
        assert node.broker.engine.counts["pipelines"] < 50


async def test_a_wrong_password_or_nobody_there_is_said_without_the_password() -> None:
    with Valkey(requirepass="right") as valkey:
        for url in (f"redis://:wr0ng@127.0.0.1:{valkey.port}", "redis://:wr0ng@127.0.0.1:1"):
            with pytest.raises(ConfigError, match="cannot be used") as caught:
                async with Node(url, patience=0.5).opened():
                    pass
            assert "wr0ng" not in str(caught.value)
            assert "tried again" not in str(caught.value)
            refused = "does not take the user and password" in str(caught.value)
            assert refused == (not url.endswith(":1"))
        async with Node(f"redis://:right@127.0.0.1:{valkey.port}").opened() as node:
            await node.publish("a", "1")


@pytest.mark.parametrize(
    ("scheme", "setting", "command", "why"),
    [
        ("redis://u:u@", {}, "ACL SETUSER u on >u ~* &* +@all -evalsha", "'evalsha'"),
        ("redis://u:u@", {}, "ACL SETUSER u on >u &* +@all", "access a key"),
        ("redis://", {"cluster-enabled": "yes"}, "CLUSTER ADDSLOTS 1", "cluster"),
        ("redis+cluster://", {"cluster-enabled": "yes"}, "PING", "no slots yet"),
        ("redis+cluster://", {}, "PING", "cluster support disabled"),
        ("redis://", {}, "REPLICAOF 127.0.0.1 1", "a replica"),
        ("redis+sentinel://", {}, "PING", "no Sentinel"),
    ],
)
async def test_an_engine_that_will_not_do_says_why(
    scheme: str, setting: dict[str, str], command: str, why: str
) -> None:
    with Valkey(0, "", **setting, **{"cluster-port": str(free_port())}) as valkey:
        assert valkey.command(*command.split())[0] == "+"
        url = f"{scheme}127.0.0.1:{valkey.port}" + "/main" * ("sentinel" in scheme)
        with pytest.raises(ConfigError, match=why):
            async with Node(url, patience=0).opened():
                pass


async def test_a_replica_is_no_engine_for_as_long_as_it_is_one() -> None:
    with Valkey() as valkey, structlog.testing.capture_logs() as logs:
        async with Node(url_of(valkey), patience=0.5).opened() as node:
            await node.publish("a", "1")
            valkey.command("REPLICAOF", "127.0.0.1", "1")
            for _ in range(3):
                with pytest.raises(Unavailable):
                    await node.publish("a", "2", key="2")
            assert "a replica" in (node.broker.problem or "")
            assert [each["event"] for each in logs] == ["broker away"]  # it is not back meanwhile
            valkey.command("REPLICAOF", "NO", "ONE")
            await until_back(node.broker)
            await node.publish("a", "3")


async def test_a_test_of_the_way_that_failed_is_not_left_behind() -> None:
    with Valkey() as valkey:
        async with Node(url_of(valkey), patience=0.5).opened() as node:
            calls = next(iter(node.broker.engine._shards.values())).calls
            valkey.command("REPLICAOF", "127.0.0.1", "1")
            with trio.fail_after(SECONDS):
                while node.broker.counts["failures"] < 4:
                    await trio.lowlevel.checkpoint()
            assert len([each for each in calls.take_back() if not each.given_up]) <= 1


async def test_nothing_stays_in_the_engine_when_the_times_have_passed(valkey: Valkey) -> None:
    async with Node(url_of(valkey)).opened() as node:
        await node.subscribe("a")
        await node.publish("a", "1", key="k")
        script = (
            "local passing = 0 for _, key in ipairs(redis.call('KEYS', ARGV[1])) do "
            "if redis.call('PTTL', key) > 0 then passing = passing + 1 end end "
            "return passing * 100 + #redis.call('KEYS', ARGV[1])"
        )
        prefix = node.broker.engine.url.options.prefix
        assert valkey.command("EVAL", script, "0", f"{prefix}:*") == ":303"  # all three pass


async def test_two_databases_hear_nothing_of_each_other(valkey: Valkey) -> None:
    prefix = secrets.token_hex(4)
    first, second = (Node(f"{valkey.url}/{db}?prefix={prefix}&{QUICK}") for db in (0, 1))
    async with first.opened(), second.opened():
        await second.broker.follow(Filter("#"))
        await second.subscribe("a")
        await first.publish_all("a", "1", "2")
        await first.publish("b", "3")
        await second.publish("a", "4")
        await second.wait_for("a", "4")
        assert [each.event for each in second.delivered] == ["4"]


async def test_a_unix_socket_will_do(valkey: Valkey) -> None:
    async with Node(f"unix://{valkey.folder}/valkey.sock?prefix=unix").opened() as node:
        await node.subscribe("a")
        await node.publish("a", "1")
        await node.wait_for("a", "1")


async def test_over_tls_a_file_says_who_may_sign_certificates(
    valkey: Valkey, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with trio.open_nursery() as nursery, fault_proxy(valkey.port) as proxy:

        async def serve(client: trio.SSLStream[trio.SocketStream]) -> None:
            server, _ = await proxy.open_stream()
            async with server, trio.open_nursery() as copying:
                copying.start_soon(copy, client, server)
                copying.start_soon(copy, server, client)

        [listener] = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1")
        port = listener.transport_listener.socket.getsockname()[1]  # type: ignore[attr-defined]
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        async with Node(f"rediss://127.0.0.1:{port}?ca={tmp_path}/ca.pem&prefix=tls").opened() as n:
            await n.subscribe("a")
            await n.publish("a", "1")
            await n.wait_for("a", "1")
            (tmp_path / "ca.pem").rename(tmp_path / "away.pem")
            valkey.command("CLIENT", "KILL", "TYPE", "pubsub")
            with trio.fail_after(SECONDS):
                while "ca.pem cannot be used" not in (n.broker.problem or ""):
                    await trio.lowlevel.checkpoint()
            (tmp_path / "away.pem").rename(tmp_path / "ca.pem")
            await until_back(n.broker)
        nursery.cancel_scope.cancel()


async def copy(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while data := await source.receive_some(65536):
            await sink.send_all(data)
    await sink.aclose()
