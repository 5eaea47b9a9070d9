"""What a gateway adds to a round trip, and what it leaves behind when either side is killed."""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.request import urlopen

import trio

from rooms import App, Settings, WebSocket, serve
from rooms.logs import configure
from rooms.protocol.client_handshake import parse_address
from rooms.protocol.frames import TEXT, frame
from rooms.transports.base import Link
from rooms.transports.client import connect

KEY = b"\x37\xfa\x21\x3d"
MESSAGE = b"x" * 64
SECONDS = 5.0
"""What is left of a connection so long after one end was killed counts as left behind."""

MOST_ADDED = 0.001
SETTINGS = {
    "ROOMS_METRICS": "open",
    "ROOMS_LOG_LEVEL": "error",
    "ROOMS_RATE_MESSAGES": "0",
    "ROOMS_RATE_BYTES": "0",
}


async def echo() -> None:
    """Serve an echo, say on which port, and do so until killed."""
    configure("error", "json")
    app = App(dialects=[])

    @app.websocket("/echo")
    async def give_back(ws: WebSocket) -> None:
        async for message in ws:
            await ws.send(message)

    settings = Settings(port=0, http=False, rate_messages=0, rate_bytes=0)
    async with serve(app, settings) as server:
        print(server.port, flush=True)
        await trio.sleep_forever()


async def hold(port: int, number: int) -> None:
    """Keep connections open, each proved by an echo, say so, and until killed answer goodbyes."""
    async with trio.open_nursery() as nursery:
        for _ in range(number):
            link = (await connect(parse_address(f"ws://127.0.0.1:{port}/echo"))).link
            await link.send_all(frame(MESSAGE, TEXT, key=KEY))
            await link.receive_some()
            nursery.start_soon(leave_when_told, link)
        print(number, flush=True)
        await trio.sleep_forever()


async def leave_when_told(link: Link) -> None:
    """Close a connection as soon as anything comes: a goodbye."""
    await link.receive_some()
    await link.aclose()


async def round_trips(port: int, number: int) -> list[float]:
    """Return how many seconds each of some echoes took."""
    link = (await connect(parse_address(f"ws://127.0.0.1:{port}/echo"))).link
    seconds = []
    for _ in range(number):
        started = time.perf_counter()
        await link.send_all(frame(MESSAGE, TEXT, key=KEY))
        size = 0
        while size < len(MESSAGE) + 2:
            size += len(await link.receive_some())
        seconds.append(time.perf_counter() - started)
    await link.aclose()
    return seconds


@contextlib.contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run this script as another process; gives it, and the number that it printed."""
    command = [sys.executable, "-m", "scripts.gateway", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            yield running, int(running.stdout.readline())
        finally:
            running.kill()


@contextlib.contextmanager
def gateway(upstream: int) -> Iterator[tuple[int, int]]:
    """Run a gateway; gives its process id and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    to = f"ws://127.0.0.1:{upstream}"
    command = [sys.executable, "-m", "rooms", "gateway", "--to", to, "--port", str(port)]
    environment = {**os.environ, **SETTINGS}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment, stdout=quiet) as running:
        try:
            wait_until(lambda: answers(port), 30)
            yield running.pid, port
        finally:
            running.terminate()


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{port}/api/health"):
        return True
    return False


def held(pid: int, port: int) -> tuple[int, int, int]:
    """Return how many clients, tasks and sockets a gateway has; asking takes a few of them."""
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    found = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    sockets = len(os.listdir(f"/proc/{pid}/fd"))
    return int(float(found["rooms_clients"])), int(float(found["rooms_tasks"])), sockets


def wait_until(true: object, seconds: float) -> float:
    """Return how many seconds it took; so many at most."""
    assert callable(true)
    started = time.monotonic()
    while not true() and time.monotonic() - started < seconds:
        time.sleep(0.05)
    return time.monotonic() - started


def kill_one_end(connections: int, end: str) -> bool:
    """Kill one end of a gateway's connections; return whether all was gone in time."""
    with process("--echo") as (upstream, upstream_port), gateway(upstream_port) as (pid, port):
        before = held(pid, port)
        with process("--hold", str(port), str(connections)) as (client, _):
            during = held(pid, port)
            (upstream if end == "upstream" else client).kill()
            spare = 5  # for what asks

            def gone() -> bool:
                now = held(pid, port)
                return not now[0] and now[1] <= before[1] + spare and now[2] <= before[2] + spare

            took = wait_until(gone, 3 * SECONDS)
            after = held(pid, port)
    print(f"{end} killed: clients, tasks, sockets {before} {during} {after} in {took:.1f} s")
    return took < SECONDS


def added(number: int) -> float:
    """Print and return how many seconds the gateway adds to the median round trip."""
    with process("--echo") as (_, upstream_port), gateway(upstream_port) as (_, port):
        medians = []
        for where in (upstream_port, port):
            trio.run(round_trips, where, number // 10)  # to warm up
            medians.append(statistics.median(trio.run(round_trips, where, number)))
    direct, through = medians
    print(f"round trip p50: direct {direct * 1e6:.0f} us, by gateway {through * 1e6:.0f} us")
    return through - direct


def main() -> None:
    """Measure, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--round-trips", type=int, default=5000)
    parser.add_argument("--echo", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--hold", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.echo:
        trio.run(echo)
    elif options.hold:
        trio.run(hold, *options.hold)
    else:
        good = [kill_one_end(options.connections, end) for end in ("client", "upstream")]
        if added(options.round_trips) > MOST_ADDED or not all(good):
            sys.exit("gateway: not as promised")


if __name__ == "__main__":
    main()
