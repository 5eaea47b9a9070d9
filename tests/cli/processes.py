"""``rooms`` as a process, for tests."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE

import trio

from rooms.testing import TestClient

ROOT = Path(__file__).parents[2]
START_SECONDS = 20

HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


def rooms(
    *arguments: str, cwd: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "rooms", *arguments],
        cwd=cwd,
        env=without_settings(environment),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


def without_settings(extra: dict[str, str]) -> dict[str, str]:
    """Return the environment without any setting of rooms but those in ``extra``."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ROOMS_")}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | extra


@asynccontextmanager
async def serving(
    *arguments: str, cwd: Path = ROOT, handed: socket.socket | None = None, **environment: str
) -> AsyncIterator[tuple[trio.Process, int, str]]:
    """Run ``rooms serve`` and yield the process, its port and what it printed at start.

    Args:
        handed: A socket that the process is handed over, as by a service manager.
    """
    command = [sys.executable, "-m", "rooms", "serve", "--port", "0", *arguments]
    kept: tuple[int, ...] = ()
    if handed is not None:
        kept = (handed.fileno(),)
        command = [sys.executable, "-c", HAND_OVER, str(handed.fileno()), *command]
    process = await trio.lowlevel.open_process(
        command,
        cwd=cwd,
        env=without_settings(environment),
        stdout=PIPE,
        stderr=PIPE,
        pass_fds=kept,
    )
    try:
        assert process.stdout is not None
        printed = await read_until(process.stdout, rb"on https?://[^ ]*:(\d+) .*\n")
        found = re.search(r"on https?://[^ ]*:(\d+) ", printed)
        assert found is not None
        yield process, int(found[1]), printed
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                await pipe.aclose()


async def read_until(stream: trio.abc.ReceiveStream, pattern: bytes) -> str:
    """Return what a process writes, up to the first piece that completes the pattern."""
    written = b""
    with trio.fail_after(START_SECONDS):
        while not re.search(pattern, written):
            more = await stream.receive_some()
            assert more, written.decode()
            written += more
    return written.decode()


async def connect(port: int) -> TestClient:
    """Return a client that has been greeted."""
    client = TestClient(await trio.open_tcp_stream("127.0.0.1", port))
    await client.handshake()
    await client.welcome()
    return client


async def info_status(port: int, token: str) -> int:
    """Return the status of a request that needs the admin token."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    request = f"GET /api/info HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    async with stream:
        await stream.send_all(request.encode())
        with trio.fail_after(START_SECONDS):
            return int((await stream.receive_some()).split(b" ")[1])
