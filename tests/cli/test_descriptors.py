"""``rooms serve`` as a process that has no file descriptor left."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from rooms.testing import TestClient

ROOT = Path(__file__).parents[2]
SECONDS = 30
DESCRIPTORS = 64
VISITORS = 100


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[trio.Process, int]]:
    """Run a server that may take more connections than it has descriptors for."""
    shell = f'ulimit -n {DESCRIPTORS} && exec "$@"'
    serve = [sys.executable, "-m", "rooms", "serve", "--port", "0", "--connections", "1000"]
    environment = {key: value for key, value in os.environ.items() if key[:6] != "ROOMS_"}
    process = await trio.lowlevel.open_process(
        ["sh", "-c", shell, "sh", *serve],
        env=environment | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with process.stdout, process.stderr:
            yield process, int(await wait_for(process.stdout, rb"on http://[^ ]*:(\d+) .*\n"))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def wait_for(pipe: trio.abc.ReceiveStream, pattern: bytes) -> bytes:
    """Read until ``pattern`` has been said and return what its group holds."""
    said = b""
    while not (found := re.search(pattern, said)):
        more = await pipe.receive_some()
        assert more, said.decode()
        said += more
    return found[1]


async def connect(port: int) -> TestClient:
    """Return a client that has been greeted."""
    client = TestClient(await trio.open_tcp_stream("127.0.0.1", port))
    await client.handshake()
    await client.welcome()
    return client


async def test_a_server_out_of_descriptors_keeps_those_it_has_and_goes_on_afterwards() -> None:
    with trio.fail_after(SECONDS):
        async with serving() as (process, port):
            assert process.stderr is not None
            client = await connect(port)
            crowd = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(VISITORS)]
            await wait_for(process.stderr, rb"cannot accept a connection: (raise `ulimit -n`)")
            assert (await client.request(type="ping"))["type"] == "pong"
            for stream in crowd:
                await trio.aclose_forcefully(stream)
            late = await connect(port)
            for each in (client, late):
                assert (await each.request(type="ping"))["type"] == "pong"
                await each.close()
            process.terminate()
            assert await process.wait() == 0
