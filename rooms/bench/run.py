"""Measurements in a row, each against a server of its own or all against one that runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from rooms.bench.coordinator import Watch, measure
from rooms.bench.local import HOST, free_port, local_server, rooms_command
from rooms.bench.plan import Plan
from rooms.bench.process import find_listener
from rooms.bench.report import Report
from rooms.bench.target import resolve


def default_workers() -> int:
    """Return one worker for each core but one, which is the server's."""
    return max((os.cpu_count() or 1) - 1, 1)


def measure_running(
    plans: Iterable[Plan], url: str, *, remote: bool, pid: int | None, watch: Watch
) -> Iterator[Report]:
    """Measure a server that runs already; its process is looked for if it is on this machine.

    Raises:
        BenchError: The server is out of bounds, or the measurement could not be made.
    """
    target = resolve(url, remote)
    if pid is None and target.loopback:
        pid = find_listener(target.port)
    for plan in plans:
        yield measure(plan, target, pid, watch)


def measure_local(
    plans: Iterable[Plan], app: str | None, watch: Watch, options: Sequence[str] = ()
) -> Iterator[Report]:
    """Start a server for each plan, measure it and end it.

    Args:
        plans: What to measure.
        app: The application that is served; None for the built-in chat.
        watch: Is told how it goes.
        options: More of ``rooms serve``'s options.

    Raises:
        BenchError: The server did not start, or the measurement could not be made.
    """
    for plan in plans:
        port = free_port()
        with local_server(rooms_command(port, app, options), port, pin=plan.pin) as pid:
            yield measure(plan, resolve(f"ws://{HOST}:{port}"), pid, watch)
