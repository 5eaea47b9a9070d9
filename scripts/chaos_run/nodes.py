"""Nodes as processes, each with a link to the engine that fails when it is told to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import trio

from rooms.brokers.embedded import DIES_WITH_PARENT
from rooms.testing.faults import FaultProxy, Line, fault_proxy
from scripts.chaos_run.shards import Shards
from tests.brokers.valkey import Valkey

ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.02
OPTIONS = "?probe=1&ttl=60"
TOKEN = "chaos"  # only for this run

APP = """
from rooms import App

app = App(relay=True, guests=True)
app.rooms("live/#", history=0)
"""

SETTINGS = {
    "broker-seconds": "3",
    "connections-per-address": "0",
    "drain-seconds": "0.5",
    "grace-seconds": "2",
    "handshakes-per-address": "0",
    "history-messages": "20000",
    "lag-seconds": "30",
    "log-level": "warning",
    "ping-seconds": "5",
    "pong-seconds": "10",
    "presence-grace": "1",
    "recovery-bytes": "8000000",
    "recovery-messages": "20000",
}


class Link:
    """A node's way to the engine.

    Attributes:
        most: The most connections that there were at one time.
    """

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        self.most = 0

    @property
    def port(self) -> int:
        """Where the node connects."""
        return self._proxy.port

    def count(self) -> None:
        """Note how many connections there are."""
        self.most = max(self.most, len(self._proxy.lines))

    def cut(self) -> None:
        """Break all connections, and each new one."""
        self._do(Line.reset)

    def stall(self) -> None:
        """Have all connections, and each new one, let nothing through."""
        self._do(_stall)

    def heal(self) -> None:
        """Let everything through again."""
        self._proxy.fault = None
        for line in self._proxy.lines.values():
            line.up.resume()
            line.down.resume()

    def _do(self, fault: Callable[[Line], None]) -> None:
        self._proxy.fault = fault
        for line in list(self._proxy.lines.values()):
            fault(line)


def _stall(line: Line) -> None:
    line.up.stall()
    line.down.stall()


class Node:
    """One of the nodes: its process of the moment, always on the same port."""

    def __init__(self, number: int, folder: Path, port: int, link: Link, url: str) -> None:
        self.number = number
        self.port = port
        self.link = link
        self._folder = folder
        self._url = url
        self._launches = 0
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def pid(self) -> int:
        """Of its latest process."""
        return self._processes[-1].pid

    @property
    def memory(self) -> float:
        """What its process takes, in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    @property
    def end(self) -> str:
        """How its latest process has ended, and its last words; empty if it runs."""
        code = self._processes[-1].poll()
        return "" if code is None else f"ended with {code}: {self._log.read_text()[-2000:]}"

    @property
    def complaints(self) -> list[str]:
        """Tracebacks that any process of it has written."""
        logs = self._folder.glob(f"node-{self.number}-*.log")
        return [text for text in (log.read_text() for log in logs) if "Traceback" in text]

    def launch(self) -> None:
        """Start a process, beside one that there may be."""
        self._launches += 1
        command = [sys.executable, "-m", "rooms", "serve", "application:app", "--reuse-port"]
        command += ["--port", str(self.port), "--broker", self._url]
        command += [word for name, value in SETTINGS.items() for word in (f"--{name}", value)]
        guard = [sys.executable, "-I", "-c", DIES_WITH_PARENT, str(os.getpid())]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ROOMS_")}
        environment = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "ROOMS_ADMIN_TOKEN": TOKEN}
        with self._log.open("wb") as log:  # from this very thread, see DIES_WITH_PARENT
            process = subprocess.Popen(
                [*guard, *command],
                cwd=self._folder,
                env=kept | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)

    async def ready(self) -> None:
        """Wait until the latest process takes connections.

        Where it gives up, because it does not reach the engine, another is started.
        """
        with trio.fail_after(START_SECONDS):
            while b" on http://" not in self._log.read_bytes():
                if self._processes[-1].poll() is not None:
                    self.launch()
                await trio.sleep(POLL_SECONDS)

    async def replace(self) -> None:
        """Start a process that takes over, and have the one before drain and end.

        Raises:
            RuntimeError: It does not end as it should.
        """
        old = self._processes[-1]
        self.launch()
        await self.ready()
        await self._drained(old)

    async def stop(self) -> None:
        """Have its process drain and end."""
        await self._drained(self._processes[-1])

    async def _drained(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        with trio.fail_after(STOP_SECONDS):
            while process.poll() is None:  # noqa: ASYNC110 - nothing else tells
                await trio.sleep(POLL_SECONDS)
        if process.returncode:
            said = "".join(self.complaints)
            raise RuntimeError(f"a node ended with {process.returncode}: {said}")

    def kill(self) -> None:
        """End all its processes at once, and wait until they are gone."""
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes = self._processes[-1:]

    def pause(self) -> None:
        """Stop its process where it is."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let its process go on."""
        os.kill(self.pid, signal.SIGCONT)

    async def metrics(self) -> dict[str, float]:
        """Return what the node tells of itself."""
        request = f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        said = b""
        with trio.fail_after(START_SECONDS):
            async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
                await stream.send_all(f"{request}Connection: close\r\n\r\n".encode())
                async for part in stream:
                    said += part
        lines = said.decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if line.startswith("rooms_"))
        return {name: float(value) for name, _, value in pairs}

    @property
    def _log(self) -> Path:
        return self._folder / f"node-{self.number}-{self._launches}.log"


@contextmanager
def _reserved_port() -> Iterator[int]:
    """Yield a port that the processes of a node can share and nobody else gets."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@asynccontextmanager
async def opened_nodes(
    count: int, engine: Valkey | Shards, folder: Path
) -> AsyncIterator[list[Node]]:
    """Run so many nodes while the block runs; none of their processes outlives it.

    Those on a single server have a link to it that can break.
    """
    server = engine if isinstance(engine, Valkey) else engine.primaries[0]
    (folder / "application.py").write_text(APP)
    nodes: list[Node] = []
    async with AsyncExitStack() as stack:
        for number in range(count):
            link = Link(await stack.enter_async_context(fault_proxy(server.port)))
            port = stack.enter_context(_reserved_port())
            url = f"redis://127.0.0.1:{link.port}" if server is engine else engine.url
            nodes.append(Node(number, folder, port, link, url + OPTIONS))
            stack.callback(nodes[-1].kill)
            nodes[-1].launch()
        for node in nodes:
            await node.ready()
        yield nodes
