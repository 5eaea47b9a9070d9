"""Every broker keeps the contract, and the suite that says so serves any kind of broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from rooms.brokers.base import Broker
from rooms.brokers.memory import MemoryBroker
from rooms.brokers.sqlite import SqliteBroker
from rooms.core.history import NOTHING, Retention
from rooms.testing import BrokerSuite
from rooms.testing.brokers.delivery import DeliveryTests
from tests.brokers.bus import Bus, BusBroker


class TestMemoryBroker(BrokerSuite):
    def make_brokers(self, nodes: int) -> list[Broker]:
        return [MemoryBroker()]


class TestBrokerOfSeveralNodes(BrokerSuite):
    def make_brokers(self, nodes: int) -> list[Broker]:
        bus = Bus()
        return [BusBroker(bus) for _ in range(nodes)]


class TestSqliteBroker(BrokerSuite):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make_brokers(self, nodes: int) -> list[Broker]:
        return [SqliteBroker(self.folder / "rooms.db")]


class TestMemoryBrokerWithoutHistory(DeliveryTests):
    def make_brokers(self, nodes: int) -> list[Broker]:
        return [MemoryBroker()]

    def retain(self, room: str) -> Retention:
        return NOTHING


class TestSqliteBrokerWithoutHistory(DeliveryTests):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make_brokers(self, nodes: int) -> list[Broker]:
        return [SqliteBroker(self.folder / "rooms.db")]

    def retain(self, room: str) -> Retention:
        return NOTHING
