"""Runs one measurement: starts the workers, tells them what when, and watches the server."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Any

from msgspec import Struct

from rooms.bench.errors import BenchError
from rooms.bench.messages import Failed, Order, Progress, Result
from rooms.bench.plan import Plan
from rooms.bench.process import Meter, ProcessTree
from rooms.bench.report import Report, ServerUse, make_report
from rooms.bench.shares import divide
from rooms.bench.target import Target
from rooms.bench.worker import Assignment, run_worker

ANSWER_SECONDS = 15.0
DRAIN_SECONDS = 10.0
QUIET_SECONDS = 1.0
"""What has not come when nothing has come for so long is lost."""

TOLERATED = 0.1
"""The share of clients that may be lost; with fewer of them it is another measurement."""


class Status(Struct, frozen=True):
    """How far a measurement is."""

    scenario: str
    phase: str
    seconds: float
    ready: int
    dead: int
    connections: int
    counted: str
    per_second: float


Watch = Callable[[Status], None]
"""Is told several times a second how it goes."""


def measure(plan: Plan, target: Target, server: int | Meter | None, watch: Watch) -> Report:
    """Carry out a plan against a server.

    Args:
        plan: What to do.
        target: Where.
        server: The server's root process, if it is here, or what tells its use.
        watch: Is told how it goes.

    Raises:
        BenchError: The measurement could not be made.
    """
    meter = ProcessTree(server) if isinstance(server, int) else server
    with _crew(plan, target) as crew:
        return Measurement(plan, crew, meter, watch).run()


class Crew:
    """The workers, as their pipes."""

    def __init__(self, pipes: list[Pipe[Any, Any]]) -> None:
        self._pipes = pipes
        self._progress: dict[Pipe[Any, Any], Progress] = {}

    @property
    def progress(self) -> Progress:
        """What all workers together have reached."""
        latest = self._progress.values()
        return Progress(
            ready=sum(progress.ready for progress in latest),
            dead=sum(progress.dead for progress in latest),
            delivered=sum(progress.delivered for progress in latest),
            published=sum(progress.published for progress in latest),
            driving=any(progress.driving for progress in latest),
        )

    def tell(self, order: Order) -> None:
        """Give all workers an order."""
        for pipe in self._pipes:
            pipe.send(order)

    def listen(self, seconds: float) -> list[Result]:
        """Take what the workers say, for at most so long; return the results among it."""
        ready = wait(self._pipes, seconds)
        return [result for pipe in self._pipes if pipe in ready for result in self._take(pipe)]

    def results(self) -> list[Result]:
        """Return what each worker measured, after it has been told to stop."""
        found: list[Result] = []
        deadline = time.monotonic() + ANSWER_SECONDS
        while len(found) < len(self._pipes) and time.monotonic() < deadline:
            found += self.listen(0.1)
        if len(found) < len(self._pipes):
            raise BenchError("A worker gave no result; try fewer connections.")
        return found

    def _take(self, pipe: Pipe[Any, Any]) -> list[Result]:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            raise BenchError("A worker ended before its time.") from None
        if isinstance(message, Failed):
            raise BenchError(message.reason)
        if isinstance(message, Progress):
            self._progress[pipe] = message
            return []
        return [message]


class Measurement:
    """One run: connect, settle, then warm up, measure and drain, or cut and return."""

    def __init__(self, plan: Plan, crew: Crew, server: Meter | None, watch: Watch) -> None:
        self._plan, self._crew, self._server, self._watch = plan, crew, server, watch
        self._delivered, self._seen_at, self._pace = 0, time.monotonic(), 0.0

    def run(self) -> Report:
        """Return what was found."""
        plan, crew = self._plan, self._crew
        cpu_before, memory_before = self._cpu(), self._memory()
        self._connect()
        cpu_connected = self._cpu()
        self._pass("settle", plan.settle)
        memory_connected = self._memory()
        cpu_start, cpu_stop = self._interrupt() if plan.missed else self._drive()
        crew.tell(Order.STOP)
        memory_end = self._memory()
        use = ServerUse(
            cpu_before=cpu_before,
            cpu_connected=cpu_connected,
            cpu_start=cpu_start,
            cpu_stop=cpu_stop,
            memory_before=memory_before,
            memory_connected=memory_connected,
            memory_end=memory_end,
        )
        return make_report(plan, crew.results(), use if self._server is not None else None)

    def _connect(self) -> None:
        """Let the workers connect, until all are in or have failed."""
        self._crew.tell(Order.CONNECT)
        self._until("connect", self._all_done)
        if self._crew.progress.dead > self._plan.connections * TOLERATED:
            raise BenchError(self._losses())

    def _drive(self) -> tuple[float, float]:
        """Put the server under load; return the CPU time it had used before and after."""
        if self._plan.drive:
            self._crew.tell(Order.DRIVE)
            self._pass("warm up", self._plan.warmup)
            self._crew.tell(Order.MEASURE)
        before = self._cpu()
        if self._plan.drive:
            self._pass("measure", self._plan.duration)
        after = self._cpu()
        if self._plan.drive:
            self._drain()
        return before, after

    def _drain(self) -> None:
        """Publish no more, and wait for what is under way: till all is there or no more comes."""
        self._crew.tell(Order.HOLD)
        start = moved = now = time.monotonic()
        delivered = 0
        while now - start < DRAIN_SECONDS and now - moved < QUIET_SECONDS:
            progress = self._crew.progress
            wanted = progress.published * self._plan.audience
            if not progress.driving and progress.delivered >= wanted:
                return
            if progress.delivered > delivered:
                delivered, moved = progress.delivered, now
            self._crew.listen(0.05)
            self._show("drain", now - start)
            now = time.monotonic()

    def _interrupt(self) -> tuple[float, float]:
        """Cut the clients and let them miss something; return CPU time around their return."""
        plan, crew = self._plan, self._crew
        crew.tell(Order.CUT)
        self._until("cut", lambda: crew.progress.ready <= plan.rooms)
        crew.tell(Order.MISS)
        wanted = plan.missed * plan.rooms
        self._until(
            "publish",
            lambda: crew.progress.delivered >= wanted or crew.progress.ready < plan.rooms,
        )
        if crew.progress.delivered < wanted:
            raise BenchError(self._losses())
        self._pass("away", plan.settle)  # so that the server has dealt with all that
        before = self._cpu()
        crew.tell(Order.COME_BACK)
        self._until("return", self._all_done)
        return before, self._cpu()

    def _losses(self) -> str:
        """Say how many clients did not get in or stay, and why."""
        self._crew.tell(Order.STOP)
        results = self._crew.results()
        reasons = sorted({reason for result in results for reason in result.errors})
        dead = sum(result.dead for result in results)
        return (
            f"{dead:,} of {self._plan.connections:,} clients did not get in, or were lost: "
            f"{'; '.join(reasons)}."
        )

    def _all_done(self) -> bool:
        return self._crew.progress.ready + self._crew.progress.dead >= self._plan.connections

    def _until(self, phase: str, reached: Callable[[], bool]) -> None:
        """Wait for the workers to get somewhere."""
        start, plan = time.monotonic(), self._plan
        while not reached():
            seconds = time.monotonic() - start
            if seconds > plan.connect_timeout:
                raise BenchError(
                    f"{phase!r} took more than {seconds:.0f} s: only {self._crew.progress.ready:,} "
                    f"of {plan.connections:,} clients were ready."
                )
            self._crew.listen(0.05)
            self._show(phase, seconds)

    def _pass(self, phase: str, seconds: float) -> None:
        """Let time pass."""
        start = time.monotonic()
        while (passed := time.monotonic() - start) < seconds:
            self._crew.listen(min(0.1, seconds - passed))
            self._show(phase, passed)

    def _show(self, phase: str, seconds: float) -> None:
        progress, now = self._crew.progress, time.monotonic()
        if now - self._seen_at >= 0.25:
            self._pace = (progress.delivered - self._delivered) / (now - self._seen_at)
            self._delivered, self._seen_at = progress.delivered, now
        self._watch(
            Status(
                scenario=self._plan.scenario,
                phase=phase,
                seconds=seconds,
                ready=progress.ready,
                dead=progress.dead,
                connections=self._plan.connections,
                counted=self._plan.counted,
                per_second=self._pace if self._plan.drive else 0.0,
            )
        )

    def _cpu(self) -> float:
        return self._server.cpu_seconds() if self._server is not None else 0.0

    def _memory(self) -> int:
        return self._server.resident_bytes() if self._server is not None else 0


@contextmanager
def _crew(plan: Plan, target: Target) -> Iterator[Crew]:
    """Start the workers; when the block ends, so have they."""
    context = multiprocessing.get_context("spawn")
    inboxes = [context.Pipe(duplex=False) for _ in range(plan.workers)]
    outboxes = [sender for _, sender in inboxes]
    processes: list[SpawnProcess] = []
    pipes: list[Pipe[Any, Any]] = []
    try:
        for index, shares in enumerate(divide(plan)):
            ours, theirs = context.Pipe()
            assignment = Assignment(
                index, plan, target, shares, theirs, inboxes[index][0], outboxes
            )
            process = context.Process(target=run_worker, args=(assignment,), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            pipes.append(ours)
        yield Crew(pipes)
    finally:
        _end(processes, pipes)


def _end(processes: list[SpawnProcess], pipes: list[Pipe[Any, Any]]) -> None:
    """Close the pipes, which tells the workers to go, and see them off."""
    for pipe in pipes:
        pipe.close()
    for process in processes:
        process.join(ANSWER_SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
