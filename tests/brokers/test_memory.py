"""`rooms.brokers.memory`: what it does beyond the contract."""

from __future__ import annotations

import pytest
from msgspec import Raw

import rooms.brokers.memory
from rooms.brokers.memory import MemoryBroker
from rooms.core.history import Retention
from rooms.protocol.commands import Position, Publication


async def test_everything_is_done_at_once() -> None:
    delivered: list[Publication] = []
    broker = MemoryBroker()
    async with broker.open(delivered.append):
        start = broker.subscribe_nowait("a")
        position = broker.publish_nowait("a", "said", Raw(b"1"))
        assert position == Position(start.epoch, 1)
        assert [each.position for each in delivered] == [position]


async def test_a_closed_broker_delivers_to_nobody_and_has_forgotten_its_rooms() -> None:
    delivered: list[Publication] = []
    broker = MemoryBroker()
    async with broker.open(delivered.append):
        before = broker.subscribe_nowait("a")
    after = broker.subscribe_nowait("a")
    broker.publish_nowait("a", "said", Raw(b"1"))
    assert after.epoch != before.epoch
    assert delivered == []


def test_two_lives_never_share_an_epoch() -> None:
    epochs = {MemoryBroker().subscribe_nowait("a").epoch for _ in range(10)}
    assert len(epochs) == 10


async def test_a_room_in_use_is_not_the_first_to_be_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rooms.brokers.memory, "IDLE_ROOMS", 3)
    broker = MemoryBroker()
    async with broker.open(lambda publication: None, lambda room: Retention(10, 60)):
        first = broker.publish_nowait("news", "said", Raw(b"1"))
        for number in range(10):
            broker.publish_nowait(f"other/{number}", "said", Raw(b"1"))
            last = broker.publish_nowait("news", "said", Raw(b"1"))
    assert last == Position(first.epoch, 11)
