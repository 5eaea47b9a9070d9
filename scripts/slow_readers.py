"""One room, clients that read and clients that do not: what the first notice of the second."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import selectors
import socket
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from rooms.protocol.frames import FIN, PING, PONG
from rooms.testing import client_frame
from rooms.testing.client import REQUEST

JOIN = client_frame('{"type":"join","room":"ticker","id":1}')
JOINED = b'"type":"reply"'
EVENT = b'{"type":"event"'
SMALL_BUFFER = 4096

SETTINGS = {
    "ROOMS_METRICS": "open",
    "ROOMS_LOG_LEVEL": "error",
    "ROOMS_CONNECTIONS_PER_ADDRESS": "0",
    "ROOMS_HANDSHAKES_PER_ADDRESS": "0",
    "ROOMS_RATE_MESSAGES": "0",
    "ROOMS_RATE_BYTES": "0",
}


@dataclass
class Result:
    """What was seen of one run.

    Attributes:
        cut: How many clients the server ended for not reading.
        growth: Most resident bytes of the server beyond those before the first message.
    """

    received: list[int]
    latencies: array[float] = field(default_factory=lambda: array("d"))
    cut: int = 0
    growth: int = 0

    @property
    def p99(self) -> float:
        """Milliseconds that one message in a hundred took longer than."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[len(ordered) * 99 // 100] if ordered else float("nan")


@contextlib.contextmanager
def server() -> Iterator[tuple[int, int]]:
    """Run the built-in chat; yield its port and its process id."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "rooms", "serve", "--port", str(port)]
    with subprocess.Popen(command, env=os.environ | SETTINGS, stdout=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            yield port, process.pid
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.1)
    raise TimeoutError("the server did not start")


def connect(port: int, *, stuck: bool) -> tuple[socket.socket, bytes]:
    """Return a member of the room, with the frames that it got; a stuck one has a small buffer."""
    sock = socket.socket()
    if stuck:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    sock.settimeout(10)
    sock.connect(("127.0.0.1", port))
    sock.sendall(REQUEST.format(path="/ws", headers="").encode() + JOIN)
    data = b""
    while JOINED not in data:
        more = sock.recv(65536)
        if not more:
            raise ConnectionError(data.decode(errors="replace"))
        data += more
    sock.setblocking(False)
    return sock, data.partition(b"\r\n\r\n")[2]


class Reader:
    """Counts the events that one client gets, and how late each is."""

    def __init__(self, sock: socket.socket, frames: bytes) -> None:
        self.sock = sock
        self.count = 0
        self._rest = frames

    def read(self, sent: list[float], latencies: array[float]) -> None:
        """Take what has arrived; the n-th event is the n-th that was sent."""
        data = self._rest + self.sock.recv(1 << 18)
        now, place = time.monotonic(), 0
        while (size := _frame_size(data, place)) and place + size <= len(data):
            if data.startswith(EVENT, place + 4):
                latencies.append(now - sent[self.count])
                self.count += 1
            elif data[place] == FIN | PING:
                self.sock.sendall(client_frame(data[place + 2 : place + size], PONG))
            place += size
        self._rest = data[place:]


def _frame_size(data: bytes, place: int) -> int:
    """Return the size of the frame that begins there, 0 if that is not known yet."""
    if place + 4 > len(data):
        return 0
    length = data[place + 1]
    return 4 + int.from_bytes(data[place + 2 : place + 4], "big") if length == 126 else 2 + length


def resident(pid: int) -> int:
    """Return how many bytes of memory a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def slow_consumers(port: int) -> int:
    """Return how many clients the server says that it has cut off."""
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    found = re.findall(r"^rooms_slow_consumers_total\{.*\} ([0-9.]+)$", text, re.MULTILINE)
    return int(sum(map(float, found)))


def run(healthy: int, stuck: int, plan: argparse.Namespace) -> Result:
    """Publish to a room with so many of each; the first of the healthy ones publishes."""
    with server() as (port, pid), contextlib.ExitStack() as stack:
        members = [connect(port, stuck=number < stuck) for number in range(stuck + healthy)]
        for sock, _ in members:
            stack.enter_context(sock)
        readers = [Reader(sock, frames) for sock, frames in members[stuck:]]
        result = Result([])
        before = resident(pid)
        for _ in _publish(readers, plan, result):
            result.growth = max(result.growth, resident(pid) - before)
        result.received = [reader.count for reader in readers]
        result.cut = slow_consumers(port)
        return result


def _publish(readers: list[Reader], plan: argparse.Namespace, result: Result) -> Iterator[None]:
    """Publish at an even rate and read; yields ten times a second, until all is read."""
    text = '{"type":"event","event":"say","room":"ticker","payload":"%s"}' % ("x" * plan.bytes)
    frame, sent = client_frame(text), list[float]()
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader.sock, selectors.EVENT_READ, reader)
        start = look = time.monotonic()
        end = start + plan.messages / plan.rate + plan.patience
        while (now := time.monotonic()) < end:
            due = min(plan.messages, int((now - start) * plan.rate))
            while len(sent) < due:
                sent.append(time.monotonic())
                readers[0].sock.sendall(frame)
            for key, _ in selector.select(0.001):
                key.data.read(sent, result.latencies)
            if now >= look:
                look = now + 0.1
                yield
                if all(reader.count == plan.messages for reader in readers):
                    return


def show(name: str, result: Result, messages: int) -> None:
    """Print one run."""
    complete = sum(count == messages for count in result.received)
    print(
        f"{name:24} {complete} of {len(result.received)} got all {messages}"
        f"   p99 {result.p99:8.2f} ms   cut {result.cut}   memory +{result.growth / 2**20:.1f} MiB"
    )


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--healthy", type=int, default=99, help="clients that read")
    parser.add_argument("--stuck", type=int, default=1, help="clients that do not")
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--bytes", type=int, default=4000, help="of each message's text")
    parser.add_argument("--rate", type=float, default=200, help="messages a second")
    parser.add_argument("--patience", type=float, default=30, help="seconds to wait for the last")
    return parser.parse_args()


def main() -> int:
    """Run without the stuck clients, then with them; fail if a healthy one lost anything."""
    plan = arguments()
    alone = run(plan.healthy, 0, plan)
    show(f"{plan.healthy} healthy", alone, plan.messages)
    beside = run(plan.healthy, plan.stuck, plan)
    show(f"{plan.healthy} healthy, {plan.stuck} stuck", beside, plan.messages)
    print(f"p99 with the stuck clients: {beside.p99 / alone.p99:.2f} times that without them")
    return int(set(beside.received) != {plan.messages} or beside.cut != plan.stuck)


if __name__ == "__main__":
    sys.exit(main())
