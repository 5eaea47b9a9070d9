"""What nodes share keeps its contract, whatever it is kept in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from rooms.brokers.peers import Peers
from rooms.testing.brokers.peers import PeersTests
from tests.brokers.board import Board, BoardPeers


class TestBoard(PeersTests):
    @asynccontextmanager
    async def open_engine(self) -> AsyncIterator[Sequence[Peers]]:
        board = Board()
        yield [BoardPeers(board) for _ in range(2)]
