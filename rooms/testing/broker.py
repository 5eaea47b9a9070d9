"""The broker contract as tests: any broker that passes them works."""

from __future__ import annotations

from rooms.testing.brokers.delivery import DeliveryTests
from rooms.testing.brokers.filters import FilterTests
from rooms.testing.brokers.history import HistoryTests
from rooms.testing.brokers.keys import KeyTests


class BrokerSuite(DeliveryTests, FilterTests, HistoryTests, KeyTests):
    """A test for each sentence of `Broker`; needs pytest with pytest-trio.

    Derive a class whose name begins with ``Test`` and say how to make brokers::

        class TestMyBroker(BrokerSuite):
            def make_brokers(self, nodes: int) -> list[Broker]:
                return [MyBroker(url) for _ in range(nodes)]

    A broker that has a clock of its own says too how time passes there (`pass_time`).
    """
