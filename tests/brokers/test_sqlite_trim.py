"""`rooms.brokers.sqlite_trim` and its upkeep: the file holds no more than is kept, for long."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from rooms.brokers import sqlite_trim
from rooms.brokers.base import KEY_SECONDS
from rooms.brokers.sqlite_trim import LOOK_SECONDS, STEP_ROWS
from rooms.core.history import NOTHING, Retention
from rooms.testing.brokers.node import BrokerNode, events_of
from tests.brokers.files import look, look_until, opened

PUBLICATIONS = "SELECT count(*) FROM publications"
ROOMS = "SELECT count(*) FROM rooms"
LATER = LOOK_SECONDS + 1
PAYLOAD = b'"' + b"x" * 4000 + b'"'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rooms.db"


async def publish_many(
    node: BrokerNode, count: int, room: str = "a", payload: bytes = b"1"
) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(node.publish, room, str(number), payload)


async def test_what_is_more_than_a_room_keeps_is_deleted_soon(
    path: Path, mock_clock: MockClock
) -> None:
    async with opened(path, retain=lambda room: Retention(len(room), 3600)) as node:
        for room in ("a", "aaa"):
            await publish_many(node, 20, room)
        assert look(path, PUBLICATIONS) == 40
        await look_until(path, PUBLICATIONS, 4, mock_clock)
        assert len((await node.history("aaa")).publications) == 3


async def test_many_are_deleted_in_steps(path: Path, mock_clock: MockClock) -> None:
    many = 3 * STEP_ROWS + 1
    async with opened(path, retain=lambda room: Retention(1, 3600)) as node:
        await publish_many(node, many)
        await look_until(path, PUBLICATIONS, 1, mock_clock)
        assert (await node.history("a")).position.offset == many


async def test_what_is_too_old_is_deleted_and_what_is_not_stays(
    path: Path, mock_clock: MockClock
) -> None:
    async with opened(path, retain=lambda room: Retention(10, 600)) as node:
        await node.publish_all("a", "1", "2")
        mock_clock.jump(500)
        await node.publish_all("a", "3")
        mock_clock.jump(110)
        await look_until(path, PUBLICATIONS, 1, mock_clock)
        assert events_of(await node.history("a")) == ["3"]
        mock_clock.jump(600)
        await look_until(path, PUBLICATIONS, 0, mock_clock)


async def test_a_room_of_which_nothing_is_kept_is_forgotten_when_its_keys_are(
    path: Path, mock_clock: MockClock
) -> None:
    async with opened(path, retain=lambda room: Retention(10, 60)) as node:
        before = await node.publish("a", "said", key="k")
        mock_clock.jump(70)
        await look_until(path, PUBLICATIONS, 0, mock_clock)
        assert look(path, ROOMS) == 1
        assert await node.publish("a", "again", key="k") == before
        mock_clock.jump(KEY_SECONDS)
        await look_until(path, ROOMS, 0, mock_clock)
        assert (await node.publish("a", "later", key="k")).epoch != before.epoch
        assert await node.refusal("a", since=before) == "epoch_changed"


async def test_a_room_where_somebody_is_is_not_forgotten(path: Path, mock_clock: MockClock) -> None:
    async with opened(path, retain=lambda room: Retention(10, 60)) as node:
        await node.subscribe("a")
        before = await node.publish("a", "said")
        await node.publish("b", "said")
        mock_clock.jump(LATER)
        await look_until(path, ROOMS, 1, mock_clock)
        node.broker.unsubscribe("a")
        assert await node.subscribe("a") == before


async def test_what_is_not_kept_since_the_last_start_is_deleted(
    path: Path, mock_clock: MockClock
) -> None:
    async with opened(path) as node:
        await node.publish_all("a", "1", "2")
    async with opened(path, retain=lambda room: NOTHING):
        mock_clock.jump(LATER)
        await look_until(path, PUBLICATIONS, 0, mock_clock)


async def test_keys_are_deleted_when_they_are_forgotten(
    path: Path, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_trim, "KEYS", 3)
    async with opened(path) as node:
        for number in range(5):
            await node.publish("a", "said", key=str(number))
        await look_until(path, "SELECT group_concat(key) FROM keys", "2,3,4", mock_clock)
        mock_clock.jump(KEY_SECONDS)
        await look_until(path, "SELECT count(*) FROM keys", 0, mock_clock)


async def test_a_file_that_is_mostly_empty_gives_space_back(
    path: Path, mock_clock: MockClock
) -> None:
    async with opened(path, retain=lambda room: Retention(1000, 600)) as node:
        await publish_many(node, 500, payload=PAYLOAD)
        pages = look(path, "PRAGMA page_count")
        assert pages > 500
        mock_clock.jump(LATER)
        await look_until(path, "SELECT page_count < 100 FROM pragma_page_count", 1, mock_clock)
