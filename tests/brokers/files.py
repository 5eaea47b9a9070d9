"""A durable broker's file in tests: opened, looked into, and on a disk that is full."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import trio
from trio.testing import MockClock

from rooms.brokers.base import Retain
from rooms.brokers.sqlite import SqliteBroker
from rooms.brokers.sqlite_file import Synchronous
from rooms.brokers.sqlite_upkeep import UPKEEP_SECONDS
from rooms.core.history import Retention
from rooms.testing.brokers.node import BrokerNode

KEPT = Retention(100, 3600)
LOOKS = 5000


@asynccontextmanager
async def opened(
    path: Path,
    synchronous: Synchronous = "normal",
    *,
    retain: Retain = lambda room: KEPT,
    wall: Callable[[], float] = lambda: 1_800_000_000.0,
    boot: str = "boot 1",
) -> AsyncIterator[BrokerNode]:
    """Open a broker while the block runs."""
    node = BrokerNode(SqliteBroker(path, synchronous, wall=wall, boot=lambda: boot))
    node.is_open = True
    async with node.broker.open(node.deliver, retain):
        yield node


def look(path: Path, statement: str) -> Any:
    """Return the one value that a statement finds in the file."""
    with closing(sqlite3.connect(path, timeout=5)) as connection:
        return connection.execute(statement).fetchone()[0]


def change(path: Path, statement: str) -> None:
    """Change the file behind the broker's back."""
    with closing(sqlite3.connect(path, timeout=5)) as connection:
        connection.execute(statement)
        connection.commit()


async def look_until(path: Path, statement: str, value: Any, clock: MockClock) -> None:
    """Let upkeep have its turn until a statement finds ``value`` in the file."""
    for number in range(LOOKS):
        if number % 100 == 0:
            clock.jump(UPKEEP_SECONDS)
        found = await trio.to_thread.run_sync(look, path, statement)
        if found == value:
            return
    raise AssertionError(f"{statement} finds {found!r}")


@contextmanager
def full_disk(size: int = 0) -> Iterator[None]:
    """Let no file of this process grow beyond ``size`` bytes while the block runs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
