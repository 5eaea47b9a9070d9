"""Brokers deliver what is published: everything, once, in order, with its position."""

from __future__ import annotations

from functools import partial

import trio
import trio.testing
from msgspec import UNSET, Raw

from rooms.protocol.commands import Origin, Position
from rooms.testing.brokers.node import SECONDS, BrokerNode, BrokerTests


class DeliveryTests(BrokerTests):
    """What `Broker` says of rooms that are subscribed."""

    async def test_every_publication_of_a_subscribed_room_is_delivered(self) -> None:
        async with self.opened() as [node]:
            await node.subscribe("a")
            for event in ("1", "2", "3"):
                await node.publish("a", event)
            await node.wait_for("a", "3")
            assert node.events("a") == ["1", "2", "3"]

    async def test_the_publishers_own_node_and_all_others_get_it(self) -> None:
        async with self.opened(nodes=2) as nodes:
            for node in nodes:
                await node.subscribe("a")
            await nodes[0].publish("a", "said")
            for node in nodes:
                await node.wait_for("a", "said")
                assert node.events("a") == ["said"]

    async def test_a_publication_is_delivered_as_it_was_published(self) -> None:
        sender, payload = Origin("c7", "ana"), b'{"text": "\xc5\xbe \\u0000", "n": 1.50}'
        async with self.opened() as [node]:
            await node.subscribe("a/\u017e")
            await node.publish("a/\u017e", "said", payload, sender)
            await node.publish("a/\u017e", "news")
            said = await node.wait_for("a/\u017e", "said")
            news = await node.wait_for("a/\u017e", "news")
            assert (bytes(said.payload), said.sender) == (payload, sender)
            assert (bytes(news.payload), news.sender) == (b"null", UNSET)

    async def test_it_is_delivered_with_the_position_that_publish_returned(self) -> None:
        async with self.opened() as [node]:
            await node.subscribe("a")
            position = await node.publish("a", "said")
            assert (await node.wait_for("a", "said")).position == position

    async def test_what_is_begun_in_a_room_is_published_in_that_order(self) -> None:
        async with self.opened() as [node]:
            if not node.broker.begins:
                return
            await node.subscribe("a")
            landed: list[str] = []
            begun = [
                node.broker.begin_publish(
                    "a", str(n), Raw(b"null"), None, None, partial(landed.append, str(n))
                )
                for n in range(20)
            ]
            assert not any(each.done for each in begun)
            await node.wait_for("a", "19")
            assert node.events("a") == [str(n) for n in range(20)]
            last = await node.publish("a", "last")
            assert [each.position().offset for each in begun] == list(range(1, last.offset))
            assert landed == [str(n) for n in range(20)]

    async def test_the_order_is_that_of_the_positions_and_the_same_on_all_nodes(self) -> None:
        async with self.opened(nodes=2) as nodes:
            for node in nodes:
                await node.subscribe("a")
            async with trio.open_nursery() as nursery:
                for number, node in enumerate(nodes):
                    nursery.start_soon(_publish_many, node, f"{number}-")
            positions = {await node.publish("a", "last") for node in nodes[:1]}
            for node in nodes:
                await node.wait_for("a", "last")
                got = [each.position for each in node.delivered]
                assert got == sorted(got)  # all of one epoch
                assert got[-1] in positions
            assert all(node.events("a") == nodes[0].events("a") for node in nodes)

    async def test_offsets_count_up_by_one_from_where_the_room_stood(self) -> None:
        async with self.opened() as [node]:
            start = await node.subscribe("a")
            positions = [await node.publish("a", "said") for _ in range(3)]
            assert positions == [Position(start.epoch, start.offset + n) for n in (1, 2, 3)]

    async def test_to_subscribe_tells_where_the_room_stands_now(self) -> None:
        async with self.opened(nodes=2) as nodes:
            await nodes[0].subscribe("a")
            position = await nodes[0].publish("a", "said")
            assert await nodes[-1].subscribe("a") == position

    async def test_to_subscribe_again_delivers_nothing_twice(self) -> None:
        async with self.opened() as [node]:
            start = await node.subscribe("a")
            assert await node.subscribe("a") == start
            await node.publish("a", "said")
            await node.publish("a", "last")
            await node.wait_for("a", "last")
            assert node.events("a") == ["said", "last"]

    async def test_a_count_that_began_again_has_another_epoch(self) -> None:
        seen: list[Position] = []
        async with self.opened() as [node]:
            for _ in range(3):
                await node.subscribe("a")
                seen.append(await node.publish("a", "said"))
                node.broker.unsubscribe("a")
        assert len(set(seen)) == len(seen)  # no position ever names two publications

    async def test_rooms_do_not_know_of_each_other(self) -> None:
        async with self.opened() as [node]:
            start = {room: await node.subscribe(room) for room in ("a", "b")}
            for _ in range(3):
                await node.publish("a", "said")
            position = await node.publish("b", "said")
            assert position == Position(start["b"].epoch, start["b"].offset + 1)
            await node.wait_for("b", "said")
            assert node.events("b") == ["said"]

    async def test_a_room_that_is_not_subscribed_is_not_delivered(self) -> None:
        async with self.opened() as [node]:
            await node.subscribe("a")
            assert isinstance(await node.publish("b", "said"), Position)
            await node.publish("a", "last")
            await node.wait_for("a", "last")
            assert node.events("b") == []

    async def test_after_unsubscribe_nothing_more_is_delivered(self) -> None:
        async with self.opened() as [node]:
            await node.subscribe("a")
            await node.subscribe("b")
            await node.publish("a", "said")
            await node.wait_for("a", "said")
            node.broker.unsubscribe("a")
            await node.publish("a", "unheard")
            await node.publish("b", "last")
            await node.wait_for("b", "last")
            assert node.events("a") == ["said"]

    async def test_to_unsubscribe_a_room_that_is_not_subscribed_does_nothing(self) -> None:
        async with self.opened() as [node]:
            await node.subscribe("b")
            node.broker.unsubscribe("a")
            await node.publish("b", "said")
            await node.wait_for("b", "said")

    async def test_a_room_can_be_subscribed_again(self) -> None:
        async with self.opened() as [node]:
            await node.subscribe("a")
            node.broker.unsubscribe("a")
            start = await node.subscribe("a")
            assert await node.publish("a", "said") == Position(start.epoch, start.offset + 1)
            await node.wait_for("a", "said")

    async def test_the_half_that_does_not_wait_does_all_or_nothing(self) -> None:
        async with self.opened() as [node]:
            start, done = await node.subscribe("a"), 0
            for _ in range(10):
                try:
                    node.broker.publish_nowait("a", "said", Raw(b"null"))
                    done += 1
                except trio.WouldBlock:
                    continue
            position = await node.publish("a", "last")
            assert position == Position(start.epoch, start.offset + done + 1)
            await node.wait_for("a", "last")
            assert node.events("a") == ["said"] * done + ["last"]

    async def test_the_half_that_waits_does_the_same_work(self) -> None:
        async with self.opened() as [node]:
            with trio.fail_after(SECONDS):
                start = await node.broker.subscribe("a")
                position = await node.broker.publish("a", "said", Raw(b"1"), Origin("c7"))
            assert position == Position(start.epoch, start.offset + 1)
            said = await node.wait_for("a", "said")
            assert (bytes(said.payload), said.sender) == (b"1", Origin("c7"))

    async def test_nothing_is_delivered_after_the_block(self) -> None:
        async with self.opened() as [node]:
            await node.subscribe("a")
            await node.publish("a", "said")
            await node.wait_for("a", "said")
        await trio.testing.wait_all_tasks_blocked()
        assert node.events("a") == ["said"]


async def _publish_many(node: BrokerNode, prefix: str) -> None:
    for number in range(20):
        await node.publish("a", f"{prefix}{number}")
        await trio.lowlevel.checkpoint()
