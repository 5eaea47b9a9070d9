"""Every broker keeps the contract, and the suite that says so serves any kind of broker."""

from __future__ import annotations

from rooms.brokers.base import Broker
from rooms.brokers.memory import MemoryBroker
from rooms.testing import BrokerSuite
from tests.brokers.bus import Bus, BusBroker


class TestMemoryBroker(BrokerSuite):
    def make_brokers(self, nodes: int) -> list[Broker]:
        return [MemoryBroker()]


class TestBrokerOfSeveralNodes(BrokerSuite):
    def make_brokers(self, nodes: int) -> list[Broker]:
        bus = Bus()
        return [BusBroker(bus) for _ in range(nodes)]
