"""Brokers publish what has a key once, however often it is tried."""

from __future__ import annotations

import trio
from msgspec import Raw
from trio.testing import MockClock

from rooms.brokers.base import KEY_SECONDS
from rooms.protocol.commands import Position
from rooms.testing.brokers.node import SECONDS, BrokerNode, BrokerTests, events_of

TRIES = 5


class KeyTests(BrokerTests):
    """What `Broker` says of keys."""

    async def test_what_is_published_again_gets_the_first_position_and_is_not_published(
        self,
    ) -> None:
        async with self.opened() as [node]:
            await node.subscribe("a")
            first = await node.publish("a", "said", key="k")
            between = await node.publish("a", "between")
            assert await node.publish("a", "again", key="k") == first
            last = await node.publish("a", "last")
            assert [between.offset, last.offset] == [first.offset + 1, first.offset + 2]
            await node.wait_for("a", "last")
            assert node.events("a") == ["said", "between", "last"]
            assert events_of(await node.history("a")) == ["said", "between", "last"]

    async def test_a_key_holds_on_every_node(self) -> None:
        async with self.opened(nodes=2) as nodes:
            await nodes[0].subscribe("a")
            first = await nodes[0].publish("a", "said", key="k")
            assert await nodes[-1].publish("a", "again", key="k") == first
            await nodes[-1].publish("a", "last")
            await nodes[0].wait_for("a", "last")
            assert nodes[0].events("a") == ["said", "last"]

    async def test_a_key_holds_where_nobody_is(self) -> None:
        async with self.opened() as [node]:
            first = await node.publish("a", "said", key="k")
            assert await node.publish("a", "again", key="k") == first
            assert events_of(await node.history("a")) == ["said"]

    async def test_the_same_key_in_another_room_is_another_key(self) -> None:
        async with self.opened() as [node]:
            for room in ("a", "b"):
                await node.subscribe(room)
                await node.publish(room, "said", key="k")
                await node.wait_for(room, "said")

    async def test_another_key_is_another_publication(self) -> None:
        async with self.opened() as [node]:
            await node.subscribe("a")
            first = await node.publish("a", "said", key="k")
            second = await node.publish("a", "said", key="K")
            assert second == Position(first.epoch, first.offset + 1)

    async def test_without_a_key_everything_is_published(self) -> None:
        async with self.opened() as [node]:
            await node.subscribe("a")
            positions = await node.publish_all("a", "said", "said", "said")
            assert len(set(positions)) == 3

    async def test_a_key_is_remembered_for_its_time_and_no_longer(
        self, mock_clock: MockClock
    ) -> None:
        async with self.opened() as [node]:
            await node.subscribe("a")
            first = await node.publish("a", "said", key="k")
            await self.pass_time(mock_clock, KEY_SECONDS - 5)
            assert await node.publish("a", "again", key="k") == first
            await self.pass_time(mock_clock, 10)
            second = await node.publish("a", "later", key="k")
            assert second == Position(first.epoch, first.offset + 1)
            assert await node.publish("a", "again", key="k") == second

    async def test_tries_that_overlap_publish_once_and_all_get_its_position(self) -> None:
        positions: list[Position] = []

        async def publish(node: BrokerNode) -> None:
            with trio.fail_after(SECONDS):
                positions.append(await node.broker.publish("a", "said", Raw(b"1"), None, "k"))

        async with self.opened(nodes=2) as nodes:
            await nodes[0].subscribe("a")
            async with trio.open_nursery() as nursery:
                for number in range(TRIES):
                    nursery.start_soon(publish, nodes[number % len(nodes)])
            await nodes[0].publish("a", "last")
            await nodes[0].wait_for("a", "last")
            assert len(positions) == TRIES
            assert len(set(positions)) == 1
            assert nodes[0].events("a") == ["said", "last"]

    async def test_a_first_try_that_is_given_up_does_not_keep_the_next_from_publishing(
        self,
    ) -> None:
        async with self.opened() as [node]:
            await node.subscribe("a")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(node.broker.publish, "a", "said", Raw(b"1"), None, "k")
                await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            position = await node.publish("a", "said", key="k")
            assert (await node.wait_for("a", "said")).position == position
            await node.publish("a", "last")
            await node.wait_for("a", "last")
            assert node.events("a") == ["said", "last"]
