"""`rooms.brokers.sqlite`: what outlives the server, and what happens when the disk fails."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trio
from msgspec import Raw
from structlog.testing import capture_logs
from trio.testing import MockClock

from rooms.brokers.base import KEY_SECONDS
from rooms.brokers.sqlite import SqliteBroker
from rooms.brokers.sqlite_file import Synchronous
from rooms.brokers.sqlite_writer import BATCH, QUEUE
from rooms.core.history import NOTHING, Retention
from rooms.errors import Unavailable, Unrecoverable
from rooms.protocol.commands import Position
from rooms.testing.brokers.node import BrokerNode, events_of
from tests.brokers.files import LOOKS, change, full_disk, look, opened

WALL = 1_800_000_000.0
PAGE = b'"' + b"x" * 4096 + b'"'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rooms.db"


def copy_of(path: Path) -> Path:
    """Return what the file is if the server ends this moment."""
    folder = path.parent / "copy"
    folder.mkdir()
    for file in path.parent.glob(f"{path.name}*"):
        shutil.copy(file, folder)
    return folder / path.name


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let nobody else write the file while the block runs."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


async def unavailable(node: BrokerNode, room: str = "a", event: str = "lost") -> bool:
    try:
        await node.publish(room, event)
    except Unavailable:
        return True
    return False


# What outlives the server.


async def test_after_a_restart_history_and_count_go_on(path: Path) -> None:
    async with opened(path) as node:
        positions = await node.publish_all("a", "1", "2")
    async with opened(path) as node:
        assert await node.subscribe("a") == positions[-1]
        positions += await node.publish_all("a", "3")
        page = await node.history("a")
    assert [each.position for each in page.publications] == positions
    assert {position.epoch for position in positions} == {positions[0].epoch}
    assert events_of(page) == ["1", "2", "3"]


async def test_a_room_where_nothing_was_published_keeps_its_epoch_too(path: Path) -> None:
    async with opened(path) as node:
        start = await node.subscribe("a")
    async with opened(path) as node:
        assert await node.subscribe("a") == start


async def test_a_key_outlives_the_server_for_its_time(path: Path) -> None:
    async with opened(path) as node:
        first = await node.publish("a", "said", key="k")
    async with opened(path, wall=lambda: WALL + KEY_SECONDS - 1) as node:
        assert await node.publish("a", "again", key="k") == first
    async with opened(path, wall=lambda: WALL + KEY_SECONDS + 1) as node:
        second = await node.publish("a", "later", key="k")
    assert second == Position(first.epoch, first.offset + 1)


async def test_publications_grow_old_while_the_server_does_not_run(path: Path) -> None:
    async with opened(path) as node:
        start = await node.subscribe("a")
        await node.publish("a", "old")
    async with opened(path, wall=lambda: WALL + 3000) as node:
        await node.publish("a", "new")
        assert events_of(await node.history("a", since=start)) == ["old", "new"]
    async with opened(path, wall=lambda: WALL + 4000) as node:
        assert events_of(await node.history("a")) == ["new"]
        assert await node.refusal("a", since=start) == "too_old"


async def test_a_clock_that_was_set_back_makes_nothing_younger(path: Path) -> None:
    async with opened(path) as node:
        await node.publish("a", "said", key="k")
    async with opened(path, wall=lambda: WALL - 86400) as node:
        await node.publish("a", "again", key="k")
        await node.publish("a", "later")
    assert look(path, "SELECT count(DISTINCT time) FROM publications") == 2
    assert look(path, "SELECT min(time) FROM publications") >= WALL


async def test_what_a_killed_server_acknowledged_is_all_there(path: Path) -> None:
    async with opened(path) as node:
        positions = await node.publish_all("a", "1", "2", "3")
        copy = copy_of(path)
    async with opened(copy) as node:
        page = await node.history("a", since=positions[0])
    assert [each.position for each in page.publications] == positions[1:]


@pytest.mark.parametrize(("synchronous", "kept"), [("normal", False), ("full", True)])
async def test_after_the_machine_failed_an_epoch_goes_on_only_if_nothing_can_be_missing(
    path: Path, synchronous: Synchronous, kept: bool
) -> None:
    async with opened(path, synchronous) as node:
        last = await node.publish("a", "said")
        copy = copy_of(path)
    async with opened(copy, boot="boot 2") as node:
        position = await node.subscribe("a")
        assert (position.epoch == last.epoch) is kept
        assert events_of(await node.history("a")) == ["said"]


async def test_a_server_that_was_stopped_goes_on_after_the_machine_was_too(path: Path) -> None:
    async with opened(path) as node:
        last = await node.publish("a", "said")
    async with opened(path, boot="boot 2") as node:
        assert await node.subscribe("a") == last


async def test_a_room_without_history_is_not_stored(path: Path) -> None:
    async with opened(path, retain=lambda room: NOTHING) as node:
        start = node.broker.subscribe_nowait("a")
        position = node.broker.publish_nowait("a", "said", Raw(b"1"), None, "k")
        assert position == Position(start.epoch, 1)
        assert node.events("a") == ["said"]
    async with opened(path, retain=lambda room: NOTHING) as node:
        assert node.broker.subscribe_nowait("a").epoch != start.epoch
    assert look(path, "SELECT count(*) FROM publications") == 0


async def test_what_was_taken_is_stored_although_nobody_waits_for_it_any_more(path: Path) -> None:
    async with trio.open_nursery() as nursery, opened(path) as node:
        for number in range(50):
            nursery.start_soon(node.publish, "a", str(number))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    async with opened(path) as node:
        page = await node.history("a")
    assert sorted(events_of(page), key=int) == [str(number) for number in range(50)]


async def test_a_broker_that_is_not_open_takes_nothing(path: Path) -> None:
    node = BrokerNode(SqliteBroker(path))
    async with opened(path) as other:
        pass
    with pytest.raises(Unavailable, match="stopping"):
        await other.broker.publish("a", "said", Raw(b"1"), None, "k")
    with pytest.raises(Unavailable, match="for the moment"):
        await other.broker.history("a", 10, since=None)
    assert node.broker.problem is None


# More at once than the queue takes.


async def test_more_publishers_than_the_queue_takes_wait_and_lose_nothing(path: Path) -> None:
    many = QUEUE + 500
    async with opened(path, retain=lambda room: Retention(2 * many, 3600)) as node:
        await node.subscribe("a")
        async with trio.open_nursery() as nursery:
            for number in range(many):
                nursery.start_soon(node.publish, "a", str(number))
        assert len(set(node.events("a"))) == many
        assert [each.position.offset for each in node.delivered] == list(range(1, many + 1))


async def test_a_try_that_is_given_up_in_a_full_queue_leaves_nothing_behind(path: Path) -> None:
    kept = Retention(10 * QUEUE, 3600)
    async with opened(path, retain=lambda room: kept) as node, trio.open_nursery() as nursery:
        with locked(path):
            for _ in range(BATCH + QUEUE + 1):
                nursery.start_soon(node.publish, "a", "other")
            await trio.testing.wait_all_tasks_blocked()
            async with trio.open_nursery() as tries:
                tries.start_soon(node.broker.publish, "a", "given up", Raw(b"1"), None, "k")
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(node.broker.publish, "a", "said", Raw(b"1"), None, "k")
                await trio.testing.wait_all_tasks_blocked()
                tries.cancel_scope.cancel()
        position = await node.broker.publish("a", "again", Raw(b"1"), None, "k")
        page = await node.history("a", 5, newest_first=True)
        assert [each.event for each in page.publications if each.event != "other"] == ["said"]
        assert page.position == position


async def test_a_subscription_that_is_given_up_does_not_hold(path: Path) -> None:
    async with opened(path) as node, trio.open_nursery() as nursery:
        with locked(path):
            nursery.start_soon(node.publish, "b", "before")
            await trio.testing.wait_all_tasks_blocked()
            async with trio.open_nursery() as tries:
                tries.start_soon(node.broker.subscribe, "a")
                await trio.testing.wait_all_tasks_blocked()
                tries.cancel_scope.cancel()
        await node.publish("a", "unheard")
        await node.subscribe("b")
        await node.publish("b", "last")
        assert node.events("a") == []


# When the disk fails.


async def test_on_a_full_disk_publishing_fails_and_uses_no_position(path: Path) -> None:
    async with opened(path) as node:
        await node.subscribe("a")
        first = await node.publish("a", "said")
        with capture_logs() as logs, full_disk():
            assert node.broker.problem is None
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(unavailable, node)
            assert await unavailable(node)
            assert node.broker.problem is not None
            assert "disk" in node.broker.problem
            assert events_of(await node.history("a")) == ["said"]
            assert (await node.subscribe("new")).offset == 0
        assert await node.publish("a", "again") == Position(first.epoch, first.offset + 1)
        assert node.events("a") == ["said", "again"]
        assert node.broker.problem is None
    assert [entry["log_level"] for entry in logs] == ["error"]


async def test_a_key_whose_publication_failed_is_free_again(path: Path) -> None:
    async with opened(path) as node:
        with full_disk(), pytest.raises(Unavailable):
            await node.publish("a", "lost", key="k")
        await node.publish("a", "said", key="k")
        assert events_of(await node.history("a")) == ["said"]


async def test_a_room_that_was_new_on_a_full_disk_keeps_its_epoch(path: Path) -> None:
    async with opened(path) as node:
        with full_disk():
            start = await node.subscribe("a")
            assert await unavailable(node)
        assert await node.publish("a", "said") == Position(start.epoch, 1)
    async with opened(path) as node:
        assert events_of(await node.history("a", since=start)) == ["said"]


async def test_the_problem_is_over_when_there_is_space_again(
    path: Path, mock_clock: MockClock
) -> None:
    async with opened(path) as node:
        with full_disk():
            assert await unavailable(node)
        for _ in range(LOOKS):
            mock_clock.jump(10)
            await trio.to_thread.run_sync(look, path, "SELECT count(*) FROM rooms")
            if node.broker.problem is None:
                return
    raise AssertionError(node.broker.problem)


async def test_a_file_that_another_program_has_locked_fails_until_it_is_free(path: Path) -> None:
    async with opened(path) as node:
        with locked(path):
            assert await unavailable(node)
            assert node.broker.problem == "another program has locked it: end that program"
        assert not await unavailable(node)
        assert node.broker.problem is None


async def test_a_gap_in_the_file_is_an_error_and_not_a_short_page(path: Path) -> None:
    async with opened(path) as node:
        await node.publish_all("a", "1", "2", "3")
        change(path, "DELETE FROM publications WHERE offset = 2")
        with capture_logs() as logs, pytest.raises(Unavailable):
            await node.history("a")
        assert logs[0]["room"] == "a"


async def test_since_a_position_that_was_lost_with_the_file_is_an_epoch_change(
    path: Path,
) -> None:
    async with opened(path) as node:
        last = await node.publish("a", "said")
    await trio.Path(path).unlink()
    async with opened(path) as node:
        await node.publish("a", "said")
        with pytest.raises(Unrecoverable):
            await node.history("a", since=last)
