"""Brokers deliver what is published in the rooms that a followed filter names."""

from __future__ import annotations

import trio

from rooms.protocol.topics import Filter
from rooms.testing.brokers.node import SECONDS, BrokerTests


class FilterTests(BrokerTests):
    """What `Broker` says of filters."""

    async def test_what_a_followed_filter_names_is_delivered_with_its_position(self) -> None:
        async with self.opened() as [node]:
            await node.follow("news/+")
            position = await node.publish("news/a", "said")
            assert (await node.wait_for("news/a", "said")).position == position

    async def test_every_node_that_follows_gets_it(self) -> None:
        async with self.opened(nodes=2) as nodes:
            for node in nodes:
                await node.follow("#")
            await nodes[0].publish("a", "said")
            for node in nodes:
                await node.wait_for("a", "said")

    async def test_what_no_followed_filter_names_is_not_delivered(self) -> None:
        async with self.opened() as [node]:
            await node.follow("news/+")
            await node.publish("news", "unheard")
            await node.publish("news/a/b", "unheard")
            await node.publish("news/a", "last")
            await node.wait_for("news/a", "last")
            assert [each.event for each in node.delivered] == ["last"]

    async def test_a_room_that_is_named_twice_and_subscribed_is_delivered_once(self) -> None:
        async with self.opened() as [node]:
            await node.subscribe("news/a")
            await node.follow("news/+")
            await node.follow("news/#")
            await node.follow("news/+")
            await node.publish_all("news/a", "said", "last")
            await node.wait_for("news/a", "last")
            assert node.events("news/a") == ["said", "last"]

    async def test_followed_rooms_come_in_the_order_of_their_positions(self) -> None:
        async with self.opened() as [node]:
            await node.follow("#")
            positions = await node.publish_all("a", "1", "2", "3")
            await node.wait_for("a", "3")
            assert [each.position for each in node.delivered] == positions

    async def test_after_unfollow_nothing_more_is_delivered(self) -> None:
        async with self.opened() as [node]:
            await node.subscribe("b")
            await node.follow("a")
            node.broker.unfollow(Filter("a"))
            await node.publish("a", "unheard")
            await node.publish("b", "last")
            await node.wait_for("b", "last")
            assert node.events("a") == []

    async def test_to_unfollow_one_of_two_leaves_the_other(self) -> None:
        async with self.opened() as [node]:
            await node.follow("a/#")
            await node.follow("a/#")
            await node.follow("a/+")
            node.broker.unfollow(Filter("a/#"))
            node.broker.unfollow(Filter("a/+"))
            await node.publish("a/b", "said")
            await node.wait_for("a/b", "said")

    async def test_to_unfollow_leaves_the_subscription(self) -> None:
        async with self.opened() as [node]:
            await node.subscribe("a")
            await node.follow("a")
            node.broker.unfollow(Filter("a"))
            await node.publish("a", "said")
            await node.wait_for("a", "said")

    async def test_to_unsubscribe_leaves_the_filter(self) -> None:
        async with self.opened() as [node]:
            await node.subscribe("a")
            await node.follow("a")
            node.broker.unsubscribe("a")
            await node.publish("a", "said")
            await node.wait_for("a", "said")

    async def test_to_unfollow_what_is_not_followed_does_nothing(self) -> None:
        async with self.opened() as [node]:
            await node.follow("a")
            node.broker.unfollow(Filter("b"))
            node.broker.unfollow(Filter("#"))
            await node.publish("a", "said")
            await node.wait_for("a", "said")

    async def test_the_half_of_follow_that_waits_does_the_same_work(self) -> None:
        async with self.opened() as [node]:
            with trio.fail_after(SECONDS):
                await node.broker.follow(Filter("+"))
            await node.publish("a", "said")
            await node.wait_for("a", "said")
