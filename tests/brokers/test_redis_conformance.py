"""The broker on a real Valkey keeps the contract."""

from __future__ import annotations

import secrets

import pytest
from trio.testing import MockClock

from rooms.brokers.base import Broker
from rooms.brokers.redis import RedisBroker
from rooms.brokers.redis_url import parse_redis_url
from rooms.core.history import NOTHING, Retention
from rooms.testing import BrokerSuite
from rooms.testing.brokers.delivery import DeliveryTests
from tests.brokers.valkey import Cluster, Valkey


class RedisTests(BrokerSuite):
    """Tells tests apart on an engine that they share.

    Attributes:
        engine: Which one, and how time passes there.
        options: More of the broker's URL.
    """

    engine: Valkey | Cluster
    options = ""

    @pytest.fixture(autouse=True)
    def _prefix(self) -> None:
        self.prefix = secrets.token_hex(4)
        self.ahead = 0.0

    def make_brokers(self, nodes: int) -> list[Broker]:
        url = parse_redis_url(f"{self.engine.url}?prefix={self.prefix}{self.options}")
        return [RedisBroker(url, ahead=lambda: self.ahead) for _ in range(nodes)]

    async def pass_time(self, clock: MockClock, seconds: float) -> None:
        self.ahead += seconds
        self.engine.pass_time(f"{self.prefix}:*:k:*", seconds)


class TestRedisBroker(RedisTests):
    @pytest.fixture(autouse=True)
    def _engine(self, valkey: Valkey) -> None:
        self.engine = valkey


class TestRedisClusterBroker(RedisTests):
    options = "&filters=true"

    @pytest.fixture(autouse=True)
    def _engine(self, cluster: Cluster) -> None:
        self.engine = cluster


class TestRedisBrokerWithoutHistory(DeliveryTests):
    @pytest.fixture(autouse=True)
    def _engine(self, valkey: Valkey) -> None:
        self.url = parse_redis_url(f"{valkey.url}?prefix={secrets.token_hex(4)}")

    def make_brokers(self, nodes: int) -> list[Broker]:
        return [RedisBroker(self.url) for _ in range(nodes)]

    def retain(self, room: str) -> Retention:
        return NOTHING


class TestRedisClusterBrokerWithoutHistory(TestRedisBrokerWithoutHistory):
    @pytest.fixture(autouse=True)
    def _engine(self, cluster: Cluster) -> None:
        self.url = parse_redis_url(f"{cluster.url}?prefix={secrets.token_hex(4)}")
