"""A server that is used and abused for a while, and then holds nothing more than at the start.

`python -m tests.soak.soak MINUTES SEED` is the long form; see ``scripts/soak``.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
import trio
import trio.testing
from structlog.typing import EventDict

from rooms import App
from rooms.chat import chat_app
from rooms.config import Settings
from rooms.serving import Server, serve
from rooms.testing.faults import fault_proxy
from tests.footprint import open_sockets, resident_bytes, task_names
from tests.soak.clients import Soaker

MEBIBYTE = 1024 * 1024
SAMPLES = 60
"""The most lines of a curve; in less than a minute there is one a second."""
SETTLING_SECONDS = 20
WARM_UP = 1 / 3
"""Of the time: what memory is held after that is compared with what is held at the end."""

SETTINGS = Settings(
    port=0,
    http=False,
    ping_seconds=2,
    pong_seconds=5,  # all are in one process, which may have to wait for its turn
    head_seconds=2,
    close_seconds=1,
    presence_grace=0.5,
    history_messages=50,
    history_seconds=1,
    outbox_bytes=256 * 1024,
    handshakes_per_address=0,  # everybody has the same
)


@dataclass(frozen=True)
class Sample:
    """What the process holds at one moment; clients and server are in one process."""

    seconds: float
    resident: int
    tasks: int
    sockets: int
    clients: int
    rooms: int

    HEADER = "seconds,resident_mib,tasks,sockets,clients,rooms"

    def __str__(self) -> str:
        resident = self.resident / MEBIBYTE
        counts = f"{self.tasks},{self.sockets},{self.clients},{self.rooms}"
        return f"{self.seconds:.0f},{resident:.1f},{counts}"


@dataclass
class Curve:
    """How what the process holds went over time.

    Attributes:
        show: Called with each line as it is known.
    """

    app: App
    show: Callable[[str], object]
    started: float = field(default_factory=trio.current_time)
    samples: list[Sample] = field(default_factory=list)

    def take(self) -> None:
        """Note what is held now."""
        gc.collect()
        sample = Sample(
            trio.current_time() - self.started,
            resident_bytes() or 0,
            sum(task_names().values()),
            open_sockets(),
            len(self.app.clients),
            len(self.app.room_names),
        )
        self.samples.append(sample)
        self.show(str(sample))

    @property
    def growth(self) -> int:
        """By how many bytes memory has grown since it was warm."""
        warm = self.samples[int(len(self.samples) * WARM_UP)]
        return self.samples[-1].resident - warm.resident


async def run(seconds: float, seed: int, show: Callable[[str], object] = print) -> Curve:
    """Use and abuse a chat for so many seconds, and wait until nothing of that is left.

    Raises:
        AssertionError: Something is left: a task, a socket, a client, a room; the server logged an
            error; or something happened to a client that did nothing wrong.
    """
    app = chat_app()
    with errors_logged() as errors:
        async with serve(app, SETTINGS) as server:
            await trio.testing.wait_all_tasks_blocked()
            before = (task_names(), open_sockets())
            show(Sample.HEADER)
            curve = Curve(app, show)
            curve.take()
            await _soak(server, curve, seconds, seed, show)
            await _settle(app, before)
            curve.take()
            assert (app.room_names, app.clients) == ([], {})
            assert (task_names(), open_sockets()) == before
    assert list(errors) == []
    return curve


async def _soak(
    server: Server, curve: Curve, seconds: float, seed: int, show: Callable[[str], object]
) -> None:
    async with fault_proxy(server.port) as proxy, trio.open_nursery() as nursery:
        soaker = Soaker(server.port, proxy, seed)
        for visit, count in crowd(soaker).items():
            for _ in range(count):
                nursery.start_soon(soaker.keep_on, visit)
        samples = min(SAMPLES, int(seconds))
        for number in range(1, samples + 1):
            with trio.move_on_at(curve.started + seconds * number / samples):
                await trio.sleep_forever()
            curve.take()
        soaker.over.set()
    show(", ".join(f"{name} {count}" for name, count in sorted(soaker.done.items())))


def crowd(soaker: Soaker) -> dict[Callable[[], Awaitable[None]], int]:
    """Return how many clients there are of each kind."""
    return {
        soaker.chat: 20,
        soaker.travel: 8,
        soaker.doze: 6,
        soaker.suffer: 6,
        soaker.rave: 4,
    }


@contextmanager
def errors_logged() -> Iterator[deque[EventDict]]:
    """Give the last errors that are logged while the block runs, and keep nothing else."""
    errors: deque[EventDict] = deque(maxlen=10)

    def keep_errors(_: object, level: str, event: EventDict) -> EventDict:
        if level == "error":
            errors.append(event)
        raise structlog.DropEvent

    processors = structlog.get_config()["processors"]
    before = processors.copy()
    processors[:] = [keep_errors]  # in place: loggers that are bound already hold on to the list
    try:
        yield errors
    finally:
        processors[:] = before


async def _settle(app: App, before: object) -> None:
    """Give the server time to notice that everybody is gone, and what it kept time to expire."""
    with trio.move_on_after(SETTLING_SECONDS):
        while app.clients or app.room_names or (task_names(), open_sockets()) != before:
            await trio.testing.wait_all_tasks_blocked(0.05)
    with trio.move_on_after(SETTINGS.history_seconds + 1):
        await trio.sleep_forever()


def main(minutes: str = "30", seed: str = "1") -> None:
    """Soak for so many minutes, print the curve as lines of CSV, and say how memory went."""
    curve = trio.run(run, float(minutes) * 60, int(seed))
    print(f"nothing is left; memory grew by {curve.growth / MEBIBYTE:.1f} MiB once it was warm")


if __name__ == "__main__":
    main(*sys.argv[1:3])
