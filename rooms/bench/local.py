"""A server on this machine, started for a measurement and ended after it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

from rooms.bench.errors import BenchError

HOST = "127.0.0.1"
START_SECONDS = 15.0
STOP_SECONDS = 10.0


def rooms_command(port: int, app: str | None = None, options: Sequence[str] = ()) -> list[str]:
    """Return the command that serves an app, or the built-in chat, with this Python.

    It limits no rates: a measurement goes as fast as it can.
    """
    served = [app] if app else []
    quiet = ("--log-level", "warning")
    unlimited = ("--rate-messages", "0", "--rate-bytes", "0")
    command = [sys.executable, "-m", "rooms", "serve", *served, "--port", str(port)]
    return [*command, *quiet, *unlimited, *options]


def free_port() -> int:
    """Return a port that nobody listened on a moment ago."""
    with closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def local_server(
    command: Sequence[str],
    port: int,
    *,
    pin: bool = False,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Run a server while the block runs; yields its process id once its port answers.

    Args:
        command: What to run; it must listen on ``port``.
        pin: Whether to bind the server to this machine's first core.
        folder: Where to run it.
        environment: Variables beside those of this process.

    Raises:
        BenchError: It did not start.
    """
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(  # noqa: S603  # our own command, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            start_new_session=True,  # Ctrl-C is ours to handle
        )
        try:
            if pin:
                os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
            _wait_for(process, port, errors)
            yield process.pid
        finally:
            _stop(process)


def _wait_for(process: subprocess.Popen[bytes], port: int, errors: IO[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection((HOST, port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            time.sleep(0.2)  # so that nothing of its start is measured
            return
    errors.seek(0)
    said = errors.read().decode(errors="replace").strip().splitlines()[-5:]
    raise BenchError(f"The server did not start: {' / '.join(said) or 'it said nothing'}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server, by its own process id."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
