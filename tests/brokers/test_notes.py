"""Notes keep their contract, whatever they are kept in."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from trio.testing import MockClock

from rooms.brokers.memory import MemoryBroker
from rooms.brokers.notes import Note, Notes
from rooms.brokers.redis import RedisBroker
from rooms.brokers.redis_url import parse_redis_url
from rooms.brokers.sqlite import SqliteBroker
from rooms.protocol.commands import Publication
from rooms.testing.brokers.notes import NotesTests, values_of
from tests.brokers.board import Board, BoardNotes, BoardPeers
from tests.brokers.valkey import Cluster, Valkey


def ignore(publication: Publication) -> None:
    """Take what nobody publishes."""


class TestBoard(NotesTests):
    @asynccontextmanager
    async def open_notes(self) -> AsyncIterator[Sequence[Notes]]:
        board = Board()
        yield [BoardNotes(BoardPeers(board)) for _ in range(2)]


class TestSqlite(NotesTests):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "rooms.db"

    @asynccontextmanager
    async def open_notes(self) -> AsyncIterator[Sequence[Notes]]:
        broker = SqliteBroker(self.path)
        async with broker.open(ignore):
            yield [broker.notes]

    async def test_they_outlast_the_server(self) -> None:
        async with self.open_notes() as (notes,):
            await notes.write([Note("a", b"1", 60)])
        async with self.open_notes() as (notes,):
            assert await values_of(notes) == {"a": b"1"}


class TestRedis(NotesTests):
    @pytest.fixture(autouse=True)
    def _engine(self, valkey: Valkey) -> None:
        self.servers = [valkey]
        self._choose(valkey.url)

    def _choose(self, url: str) -> None:
        self.prefix = secrets.token_hex(4)
        self.url = parse_redis_url(f"{url}?prefix={self.prefix}")
        self.ahead = 0.0

    @asynccontextmanager
    async def open_notes(self) -> AsyncIterator[Sequence[Notes]]:
        brokers = [RedisBroker(self.url, ahead=lambda: self.ahead) for _ in range(2)]
        async with AsyncExitStack() as stack:
            for broker in brokers:
                await stack.enter_async_context(broker.open(ignore))
            yield [broker.notes for broker in brokers]

    async def pass_time(self, clock: MockClock, seconds: float) -> None:
        self.ahead += seconds
        for server in self.servers:
            server.pass_time(f"{self.prefix}:*", seconds)


class TestRedisCluster(TestRedis):
    @pytest.fixture(autouse=True)
    def _engine(self, cluster: Cluster) -> None:
        self.servers = cluster.servers
        self._choose(cluster.url)


def test_in_memory_nothing_outlasts_the_server() -> None:
    assert MemoryBroker().notes is None
