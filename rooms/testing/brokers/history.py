"""Brokers keep the last publications of a room, and never hide a gap."""

from __future__ import annotations

import trio
from msgspec import UNSET, Raw
from trio.testing import MockClock

from rooms.core.history import NOTHING, Retention
from rooms.protocol.commands import Origin, Position, Publication
from rooms.testing.brokers.node import SECONDS, BrokerTests, events_of


class HistoryTests(BrokerTests):
    """What `Broker` says of history."""

    async def test_what_was_published_can_be_had_as_it_was_delivered(self) -> None:
        sender, payload = Origin("c7", "ana"), b'{"text": "\xc5\xbe \\u0000", "n": 1.50}'
        async with self.opened() as [node]:
            await node.subscribe("a/\u017e")
            positions = [
                await node.publish("a/\u017e", "said", payload, sender),
                await node.publish("a/\u017e", "news"),
            ]
            said, news = (await node.history("a/\u017e")).publications
            assert (said.event, bytes(said.payload), said.sender) == ("said", payload, sender)
            assert (news.event, bytes(news.payload), news.sender) == ("news", b"null", UNSET)
            assert [said.position, news.position] == positions
            assert {said.room, news.room} == {"a/\u017e"}

    async def test_a_publication_is_in_the_history_once_publish_has_returned(self) -> None:
        async with self.opened(nodes=2) as nodes:
            for number in range(5):
                position = await nodes[0].publish("a", f"{number}")
                page = await nodes[-1].history("a")
                assert (events_of(page)[-1], page.position) == (f"{number}", position)

    async def test_a_room_is_kept_whether_anybody_is_there_or_not(self) -> None:
        async with self.opened() as [node]:
            await node.publish("a", "before")
            await node.subscribe("a")
            await node.publish("a", "meanwhile")
            node.broker.unsubscribe("a")
            await node.publish("a", "after")
            assert events_of(await node.history("a")) == ["before", "meanwhile", "after"]
            await node.subscribe("a")
            assert events_of(await node.history("a")) == ["before", "meanwhile", "after"]

    async def test_a_room_where_nothing_was_published_has_an_empty_history(self) -> None:
        async with self.opened() as [node]:
            position = await node.subscribe("a")
            page = await node.history("a")
            assert (page.position, page.publications, page.more) == (position, [], False)
            assert (await node.history("b")).publications == []

    async def test_pages_begin_at_the_oldest_or_at_the_newest(self) -> None:
        async with self.opened() as [node]:
            last = (await node.publish_all("a", *"12345"))[-1]
            oldest = await node.history("a", limit=2)
            newest = await node.history("a", limit=2, newest_first=True)
            assert (events_of(oldest), oldest.more) == (["1", "2"], True)
            assert (events_of(newest), newest.more) == (["5", "4"], True)
            assert oldest.position == newest.position == last

    async def test_a_page_that_holds_all_there_is_says_so(self) -> None:
        async with self.opened() as [node]:
            await node.publish_all("a", *"123")
            for newest_first in (False, True):
                for limit in (3, 4):
                    page = await node.history("a", limit, newest_first=newest_first)
                    assert (len(page.publications), page.more) == (3, False)

    async def test_since_and_before_leave_out_the_positions_that_they_name(self) -> None:
        async with self.opened() as [node]:
            start = await node.subscribe("a")
            one, _, three, *_ = await node.publish_all("a", *"12345")
            assert events_of(await node.history("a", since=start)) == list("12345")
            assert events_of(await node.history("a", since=one)) == list("2345")
            assert events_of(await node.history("a", before=three)) == list("12")
            assert events_of(await node.history("a", since=one, before=three)) == ["2"]
            assert events_of(await node.history("a", since=three, before=one)) == []

    async def test_since_the_last_position_there_is_nothing(self) -> None:
        async with self.opened() as [node]:
            last = (await node.publish_all("a", *"123"))[-1]
            page = await node.history("a", since=last)
            assert (page.publications, page.more, page.position) == ([], False, last)

    async def test_pages_forward_add_up_to_all(self) -> None:
        async with self.opened() as [node]:
            since: Position | None = await node.subscribe("a")
            positions = await node.publish_all("a", *"1234567")
            found: list[Publication] = []
            more = True
            while more:
                page = await node.history("a", limit=3, since=since)
                found += page.publications
                since, more = found[-1].position, page.more
            assert [each.position for each in found] == positions

    async def test_pages_backward_add_up_to_all(self) -> None:
        async with self.opened() as [node]:
            positions = await node.publish_all("a", *"1234567")
            found: list[Publication] = []
            before, more = None, True
            while more:
                page = await node.history("a", limit=3, before=before, newest_first=True)
                found += page.publications
                before, more = found[-1].position, page.more
            assert [each.position for each in reversed(found)] == positions

    async def test_only_as_many_are_kept_as_are_to_be(self) -> None:
        async with self.opened(retain=lambda room: Retention(3, 3600)) as [node]:
            positions = await node.publish_all("a", *"12345")
            page = await node.history("a")
            assert (events_of(page), page.position) == (list("345"), positions[-1])
            assert events_of(await node.history("a", since=positions[1])) == list("345")
            assert await node.refusal("a", since=positions[0]) == "too_old"

    async def test_they_are_kept_only_as_long_as_they_are_to_be(
        self, mock_clock: MockClock
    ) -> None:
        async with self.opened(retain=lambda room: Retention(10, 60)) as [node]:
            start = await node.subscribe("a")
            old = await node.publish("a", "old")
            await self.pass_time(mock_clock, 40)
            await node.publish("a", "new")
            assert events_of(await node.history("a", since=start)) == ["old", "new"]
            await self.pass_time(mock_clock, 30)
            assert events_of(await node.history("a")) == ["new"]
            assert events_of(await node.history("a", since=old)) == ["new"]
            assert await node.refusal("a", since=start) == "too_old"
            await self.pass_time(mock_clock, 40)
            assert events_of(await node.history("a")) == []

    async def test_the_count_goes_on_where_somebody_is_although_nothing_is_kept_any_more(
        self, mock_clock: MockClock
    ) -> None:
        async with self.opened(retain=lambda room: Retention(10, 60)) as [node]:
            await node.subscribe("a")
            last = await node.publish("a", "old")
            await self.pass_time(mock_clock, 61)
            assert (await node.history("a", since=last)).position == last
            assert await node.publish("a", "new") == Position(last.epoch, last.offset + 1)

    async def test_each_room_is_kept_as_it_is_to_be(self) -> None:
        async with self.opened(
            retain=lambda room: NOTHING if room == "b" else Retention(len(room), 3600)
        ) as [node]:
            for room in ("a", "aa", "b"):
                await node.subscribe(room)
                await node.publish_all(room, *"123")
            assert events_of(await node.history("a")) == ["3"]
            assert events_of(await node.history("aa")) == ["2", "3"]
            assert events_of(await node.history("b")) == []

    async def test_a_room_of_which_nothing_is_kept_tells_no_gap_as_silence(self) -> None:
        async with self.opened(retain=lambda room: NOTHING) as [node]:
            start = await node.subscribe("a")
            last = await node.publish("a", "said")
            page = await node.history("a", since=last)
            assert (page.publications, page.position) == ([], last)
            assert await node.refusal("a", since=start) == "too_old"

    async def test_a_position_of_another_epoch_is_refused(self) -> None:
        async with self.opened() as [node]:
            last = await node.publish("a", "said")
            strange = (
                Position("another", last.offset),
                Position(last.epoch, last.offset + 1),
                Position(last.epoch, -1),
            )
            for position in strange:
                for since, before in ((position, None), (None, position)):
                    assert await node.refusal("a", since=since, before=before) == "epoch_changed"

    async def test_history_and_publications_that_come_meanwhile_leave_no_gap(self) -> None:
        async with self.opened() as [node]:
            start = await node.subscribe("a")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(node.publish_all, "a", *"12345678")
                for _ in range(8):
                    page = await node.history("a", since=start)
                    offsets = [each.position.offset for each in page.publications]
                    assert offsets == list(range(1, page.position.offset + 1))
                    await trio.lowlevel.checkpoint()

    async def test_the_half_of_history_that_waits_does_the_same_work(self) -> None:
        async with self.opened() as [node]:
            with trio.fail_after(SECONDS):
                position = await node.broker.publish("a", "said", Raw(b"1"))
                page = await node.broker.history("a", 10)
            assert (events_of(page), page.position) == (["said"], position)

    async def test_there_is_no_problem_while_publications_are_taken(self) -> None:
        async with self.opened() as [node]:
            await node.publish("a", "said")
            assert node.broker.problem is None
