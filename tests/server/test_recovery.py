"""Coming back to a room: all that was missed is told, in order and once, or honestly not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App, Settings
from rooms.brokers.base import Broker
from rooms.brokers.memory import MemoryBroker
from rooms.core.history import Page
from rooms.errors import Unavailable
from rooms.protocol.commands import Position, Publication
from rooms.server.recovery import PAGE_BYTES, PAGE_MESSAGES, pages
from rooms.testing import MemoryServer, TestClient, in_memory
from tests.brokers.bus import Bus, BusBroker
from tests.core.fakes import publication
from tests.server.rejoin import ROOM, all_missed, events_up_to, numbers, publish, rejoin
from tests.server.slow_broker import SlowBroker

MakeBroker = Callable[[], Broker]
BROKERS = {"at once": MemoryBroker, "later": SlowBroker, "over a bus": lambda: BusBroker(Bus())}


@pytest.fixture(params=list(BROKERS.values()), ids=list(BROKERS))
def make_broker(request: pytest.FixtureRequest) -> MakeBroker:
    return request.param  # type: ignore[no-any-return]  # what the line above gives


async def two_in_the_room(server: MemoryServer) -> tuple[TestClient, TestClient]:
    """Return two members: one who stays and speaks, and one who is to go and come back."""
    ana, bob = await server.connect(), await server.connect()
    await ana.join(ROOM)
    await bob.join(ROOM)
    return ana, bob


async def gone_with(client: TestClient) -> None:
    """Lose a client's connection."""
    await client.stream.aclose()
    await wait_all_tasks_blocked()


async def test_who_missed_nothing_is_told_so(
    make_broker: MakeBroker, autojump_clock: MockClock
) -> None:
    async with in_memory(App(relay=True), broker=make_broker()) as server:
        ana, bob = await two_in_the_room(server)
        start = (await bob.request(type="history", room=ROOM))["position"]
        await bob.request(type="leave", room=ROOM)
        reply = await rejoin(bob, start)
        assert (reply["recovered"], reply["missed"], reply["more"]) == (True, [], False)
        assert reply["position"] == start
        since = await publish(ana, 3)
        await gone_with(bob)
        reply = await rejoin(await server.connect(), since)
        assert (reply["recovered"], reply["missed"], reply["position"]) == (True, [], since)


async def test_what_was_missed_is_told_in_order_and_once(
    make_broker: MakeBroker, autojump_clock: MockClock
) -> None:
    async with in_memory(App(relay=True), broker=make_broker()) as server:
        ana, bob = await two_in_the_room(server)
        since = await publish(ana, 2)
        assert await events_up_to(bob, 2) == [1, 2]
        await gone_with(bob)
        await publish(ana, 3, first=3)
        again = await server.connect()
        reply = await rejoin(again, since)
        assert numbers(await all_missed(again, reply)) == [3, 4, 5]
        assert reply["missed"][0]["from"] == {"client": ana.id}
        assert reply["position"] == reply["missed"][-1]["position"]
        await publish(ana, 2, first=6)
        assert await events_up_to(again, 7) == [6, 7]


async def test_much_is_told_in_pages_before_anything_new(
    make_broker: MakeBroker, autojump_clock: MockClock
) -> None:
    settings = Settings(history_messages=300)
    async with in_memory(App(relay=True), settings, make_broker()) as server:
        ana, _ = await two_in_the_room(server)
        since = await publish(ana, 1)
        await publish(ana, 250, first=2)
        again = await server.connect()
        await again.send(type="join", room=ROOM, since=since, id=1)
        await again.send(type="event", event="say", room=ROOM, payload=252, id=2)
        reply = await again.receive()
        assert (len(reply["missed"]), reply["more"]) == (PAGE_MESSAGES, True)
        assert numbers(await all_missed(again, reply)) == list(range(2, 252))
        assert await events_up_to(again, 252) == [252]


async def test_pages_are_moderate_in_bytes_too(autojump_clock: MockClock) -> None:
    async with in_memory(App(relay=True)) as server:
        ana, bob = await two_in_the_room(server)
        since = (await bob.request(type="history", room=ROOM))["position"]
        for _ in range(7):
            await ana.event("say", ROOM, "x" * (PAGE_BYTES // 3))
        again = await server.connect()
        reply = await rejoin(again, since)
        frames = [reply, *[await again.receive_type("missed") for _ in range(2)]]
        assert [len(frame["missed"]) for frame in frames] == [3, 3, 1]
        assert [frame["more"] for frame in frames] == [True, True, False]


@given(st.lists(st.sampled_from([0, 10, 1000, 30_000, 65_000]), max_size=120))
def test_pages_hold_everything_in_order_and_none_is_larger_than_allowed(sizes: list[int]) -> None:
    everything = [
        Publication(event="e", room="r", payload=Raw(b"1" * size), position=Position("e1", n))
        for n, size in enumerate(sizes)
    ]
    made = list(pages(everything))
    assert [each for page in made for each in page] == everything
    assert made == [[]] or all(made)
    for page in made:
        assert len(page) <= PAGE_MESSAGES
        assert sum(len(each.payload) for each in page[:-1]) < PAGE_BYTES


async def test_more_than_the_room_keeps_is_too_old(
    make_broker: MakeBroker, autojump_clock: MockClock
) -> None:
    async with in_memory(App(relay=True), Settings(history_messages=5), make_broker()) as server:
        ana, _ = await two_in_the_room(server)
        since = await publish(ana, 1)
        await publish(ana, 5, first=2)
        again = await server.connect()
        reply = await rejoin(again, since)
        assert numbers(await all_missed(again, reply)) == [2, 3, 4, 5, 6]
        await again.request(type="leave", room=ROOM)
        last = await publish(ana, 1, first=7)
        reply = await rejoin(again, since)
        assert (reply["recovered"], reply["reason"], reply["position"]) == (False, "too_old", last)
        assert "missed" not in reply


async def test_what_was_kept_for_its_time_is_too_old(
    make_broker: MakeBroker, autojump_clock: MockClock
) -> None:
    settings = Settings(history_seconds=60, ping_seconds=1000)
    async with in_memory(App(relay=True), settings, make_broker()) as server:
        ana, _ = await two_in_the_room(server)
        since = await publish(ana, 1)
        await publish(ana, 1, first=2)
        await trio.sleep(59)
        reply = await rejoin(again := await server.connect(), since)
        assert numbers(await all_missed(again, reply)) == [2]
        await trio.sleep(2)
        reply = await rejoin(await server.connect(), since)
        assert (reply["recovered"], reply["reason"]) == (False, "too_old")


async def test_a_position_that_never_was_is_of_another_epoch(
    make_broker: MakeBroker, autojump_clock: MockClock
) -> None:
    async with in_memory(App(relay=True), broker=make_broker()) as server:
        ana, _ = await two_in_the_room(server)
        epoch, offset = await publish(ana, 3)
        for wrong in (["other", 2], [epoch, offset + 1], [epoch, -1], ["", 0]):
            again = await server.connect()
            reply = await rejoin(again, wrong)
            assert (reply["recovered"], reply["reason"]) == (False, "epoch_changed")
            assert reply["position"] == [epoch, offset]


async def test_a_room_that_was_forgotten_has_another_epoch(autojump_clock: MockClock) -> None:
    async with in_memory(App(relay=True), Settings(history_seconds=60)) as server:
        ana = await server.connect()
        await ana.join(ROOM)
        since = await publish(ana, 2)
        await gone_with(ana)
        await trio.sleep(50)
        reply = await rejoin(again := await server.connect(), since)
        assert (reply["recovered"], reply["missed"]) == (True, [])
        await gone_with(again)
        await trio.sleep(100)
        reply = await rejoin(await server.connect(), since)
        assert (reply["recovered"], reply["reason"]) == (False, "epoch_changed")
        assert reply["position"][0] != since[0]


async def test_without_history_only_who_missed_nothing_recovers(
    make_broker: MakeBroker, autojump_clock: MockClock
) -> None:
    app = App(relay=True)
    app.rooms("#", history=0)
    async with in_memory(app, broker=make_broker()) as server:
        ana, _ = await two_in_the_room(server)
        since = await publish(ana, 1)
        reply = await rejoin(await server.connect(), since)
        assert (reply["recovered"], reply["missed"]) == (True, [])
        await publish(ana, 1, first=2)
        reply = await rejoin(await server.connect(), since)
        assert (reply["recovered"], reply["reason"]) == (False, "too_old")


@pytest.mark.parametrize("settings", [Settings(recovery_messages=4), Settings(recovery_bytes=4)])
async def test_more_than_one_recovery_may_take_is_too_many(
    make_broker: MakeBroker, settings: Settings, autojump_clock: MockClock
) -> None:
    async with in_memory(App(relay=True), settings, make_broker()) as server:
        ana, bob = await two_in_the_room(server)
        since = (await bob.request(type="history", room=ROOM))["position"]
        last = await publish(ana, 4)  # each of one byte
        reply = await rejoin(await server.connect(), since)
        assert (reply["recovered"], len(reply["missed"]), reply["position"]) == (True, 4, last)
        last = await publish(ana, 1, first=5)
        reply = await rejoin(await server.connect(), since)
        assert (reply["recovered"], reply["reason"], reply["position"]) == (False, "too_many", last)


async def test_who_could_not_recover_is_a_member_nevertheless(
    make_broker: MakeBroker, autojump_clock: MockClock
) -> None:
    async with in_memory(App(relay=True), broker=make_broker()) as server:
        ana, _ = await two_in_the_room(server)
        await publish(ana, 1)
        again = await server.connect()
        assert (await rejoin(again, ["other", 1]))["recovered"] is False
        await publish(ana, 2, first=2)
        assert await events_up_to(again, 3) == [2, 3]


async def test_who_must_recover_is_refused_and_no_member(
    make_broker: MakeBroker, autojump_clock: MockClock
) -> None:
    app = App(relay=True)
    async with in_memory(app, broker=make_broker()) as server:
        client = await server.connect()
        error = await rejoin(client, ["other", 1], must_recover=True)
        assert (error["type"], error["code"]) == ("error", "unrecoverable")
        assert error["reason"] == "epoch_changed"
        assert app.room_names == []
        assert (await client.event("say", ROOM))["code"] == "not_member"
        position = (await client.join(ROOM))["position"]
        await client.request(type="leave", room=ROOM)
        other = await server.connect()
        await other.join(ROOM)
        reply = await rejoin(client, position, must_recover=True)
        assert reply["recovered"] is True


async def test_what_was_missed_needs_a_reply_to_be_told_in(
    make_broker: MakeBroker, autojump_clock: MockClock
) -> None:
    app = App(relay=True)
    async with in_memory(app, broker=make_broker()) as server:
        client = await server.connect()
        await client.send(type="join", room=ROOM, since=["e1", 0])
        error = await client.receive_type("error")
        assert (error["code"], "id" in error) == ("malformed", False)
        assert "`since` needs an `id`" in error["message"]
        await client.request(type="ping")
        assert app.room_names == []


async def test_a_member_cannot_come_back(
    make_broker: MakeBroker, autojump_clock: MockClock
) -> None:
    async with in_memory(App(relay=True), broker=make_broker()) as server:
        ana, _ = await two_in_the_room(server)
        since = await publish(ana, 1)
        assert (await rejoin(ana, since))["code"] == "already_joined"
        await publish(ana, 1, first=2)
        assert await events_up_to(ana, 2) == [1, 2]


# While others publish, in every order that a broker may choose.


async def start_rejoin(client: TestClient, since: Any) -> None:
    """Send what `rejoin` sends, and let everybody go as far as they can."""
    await client.send(type="join", room=ROOM, since=since, id=1)
    await wait_all_tasks_blocked()


async def reply_of(client: TestClient) -> dict[str, Any]:
    """Wait for the reply to `start_rejoin`; no event of the room may come before it."""
    reply = await client.receive()
    assert reply["id"] == 1
    return reply


async def test_history_may_know_more_than_has_been_delivered(autojump_clock: MockClock) -> None:
    broker = SlowBroker()
    async with in_memory(App(relay=True), broker=broker) as server:
        ana, bob = await two_in_the_room(server)
        since = await publish(ana, 1)
        await gone_with(bob)
        broker.hold_deliveries()
        await publish(ana, 3, first=2)
        again = await server.connect()
        await start_rejoin(again, since)
        broker.deliver_held(2)
        await wait_all_tasks_blocked()
        assert again.id not in [each.id for each in server.node.app.room(ROOM).members]
        broker.deliver_held()
        assert numbers(await all_missed(again, await reply_of(again))) == [2, 3, 4]
        await publish(ana, 1, first=5)
        assert await events_up_to(again, 5) == [5]


async def test_more_may_have_been_delivered_than_history_knew(autojump_clock: MockClock) -> None:
    broker = SlowBroker()
    async with in_memory(App(relay=True), broker=broker) as server:
        ana, bob = await two_in_the_room(server)
        since = await publish(ana, 1)
        await publish(ana, 1, first=2)
        await gone_with(bob)
        again = await server.connect()
        broker.answered["history"].close()
        await start_rejoin(again, since)
        await publish(ana, 2, first=3)
        broker.answered["history"].open()
        reply = await reply_of(again)
        assert numbers(await all_missed(again, reply)) == [2, 3, 4]
        assert reply["position"] == reply["missed"][-1]["position"]


async def test_what_is_delivered_during_a_recovery_counts_for_its_limits(
    autojump_clock: MockClock,
) -> None:
    broker = SlowBroker()
    async with in_memory(App(relay=True), Settings(recovery_messages=4), broker) as server:
        ana, _ = await two_in_the_room(server)
        since = await publish(ana, 1)
        again = await server.connect()
        broker.answered["history"].close()
        await start_rejoin(again, since)
        last = await publish(ana, 20, first=2)
        broker.answered["history"].open()
        reply = await reply_of(again)
        assert (reply["recovered"], reply["reason"], reply["position"]) == (False, "too_many", last)


async def test_a_new_epoch_during_a_recovery_is_told(autojump_clock: MockClock) -> None:
    broker = SlowBroker()
    async with in_memory(App(relay=True), broker=broker) as server:
        ana, _ = await two_in_the_room(server)
        since = await publish(ana, 1)
        again = await server.connect()
        broker.answered["history"].close()
        await start_rejoin(again, since)
        server.node.hub.deliver(publication(ROOM, "said", 1))
        broker.answered["history"].open()
        reply = await reply_of(again)
        assert (reply["recovered"], reply["reason"]) == (False, "epoch_changed")
        assert reply["position"] == ["e1", 1]


class Replica(SlowBroker):
    """Answers from a copy that is two publications behind."""

    async def history(
        self,
        room: str,
        limit: int,
        since: Position | None = None,
        before: Position | None = None,
        newest_first: bool = False,
    ) -> Page:
        page = await super().history(room, limit, since, before, newest_first)
        position = Position(page.position.epoch, page.position.offset - 2)
        return Page(position, [each for each in page.publications if each.position <= position])


async def test_a_history_with_a_gap_is_never_called_complete(autojump_clock: MockClock) -> None:
    async with in_memory(App(relay=True), broker=Replica()) as server:
        ana, _ = await two_in_the_room(server)
        since = await publish(ana, 1)
        await publish(ana, 4, first=2)
        reply = await rejoin(await server.connect(), since)
        assert (reply["recovered"], reply["reason"]) == (False, "too_old")


class LateBroker(SlowBroker):
    """Answers at once what has been published, and delivers it late."""

    subscribe_nowait = MemoryBroker.subscribe_nowait
    publish_nowait = MemoryBroker.publish_nowait
    history_nowait = MemoryBroker.history_nowait


async def test_a_history_that_is_told_at_once_is_not_delivered_again(
    autojump_clock: MockClock,
) -> None:
    broker = LateBroker()
    async with in_memory(App(relay=True), broker=broker) as server:
        ana, _ = await two_in_the_room(server)
        since = await publish(ana, 1)
        again = await server.connect()
        broker.hold_deliveries()
        await publish(ana, 2, first=2)
        await start_rejoin(again, since)
        broker.deliver_held()
        assert numbers(await all_missed(again, await reply_of(again))) == [2, 3]
        await publish(ana, 1, first=4)
        assert await events_up_to(again, 4) == [4]


async def test_what_came_before_the_place_where_one_joined_is_not_delivered(
    autojump_clock: MockClock,
) -> None:
    broker = SlowBroker()
    app = App(relay=True)
    async with in_memory(app, broker=broker) as server:
        watcher, client = await server.connect(), await server.connect()
        await watcher.request(type="subscribe", filter="#")
        broker.hold_deliveries()
        for number in (1, 2):
            await app.room(ROOM).publish("say", number)
        assert (await client.join(ROOM))["position"][1] == 2
        broker.deliver_held()
        await publish(client, 1, first=3)
        assert await events_up_to(client, 3) == [3]
        assert await events_up_to(watcher, 3) == [1, 2, 3]


async def test_who_is_lost_while_recovering_leaves_nothing_behind(
    autojump_clock: MockClock,
) -> None:
    broker, app = SlowBroker(), App(relay=True)
    async with in_memory(app, broker=broker) as server:
        client = await server.connect()
        position = (await client.join(ROOM))["position"]
        await client.request(type="leave", room=ROOM)
        broker.asked["history"].close()
        await start_rejoin(client, position)
        assert (app.room_names, broker.asked["history"].waiting) == ([ROOM], 1)
        await gone_with(client)
        assert (app.room_names, broker.asked["history"].waiting) == ([], 0)


async def test_a_recovery_that_fails_is_answered_and_leaves_nothing_behind(
    autojump_clock: MockClock,
) -> None:
    broker, app = SlowBroker(), App(relay=True)
    async with in_memory(app, broker=broker) as server:
        client = await server.connect()
        broker.asked["history"].trouble = Unavailable("The disk is away.")
        error = await rejoin(client, ["e1", 0])
        assert (error["code"], error["message"]) == ("unavailable", "The disk is away.")
        assert app.room_names == []
        broker.asked["history"].trouble = None
        assert (await client.join(ROOM))["count"] == 1


async def test_who_is_told_to_try_again_makes_no_mistake() -> None:
    broker = SlowBroker()
    async with in_memory(App(relay=True), Settings(errors_in_a_row=2), broker) as server:
        ana = await server.connect()
        broker.asked["subscribe"].trouble = Unavailable("The disk is away.")
        for _ in range(5):
            error = await ana.join(ROOM)
            assert (error["code"], error["retry_after"]) == ("unavailable", 1.0)
