"""One process of the load generator: one thread, one poller, no framework."""

from __future__ import annotations

import gc
import os
import resource
import signal
import time
from multiprocessing.connection import Connection as Pipe
from typing import Any

from msgspec import Struct

from rooms.bench.clients import Clients
from rooms.bench.connection import Connection
from rooms.bench.frames import make_stamp, stamped_payload
from rooms.bench.histogram import Histogram
from rooms.bench.load import ClosedLoop, OpenLoop, Room
from rooms.bench.messages import Completed, Failed, Order, Progress, Result
from rooms.bench.plan import Plan
from rooms.bench.poller import READ, open_poller
from rooms.bench.protocols import PROTOCOLS, Returning
from rooms.bench.shares import RoomShare
from rooms.bench.target import Target

PROGRESS_SECONDS = 0.1


class Assignment(Struct):
    """What one worker gets to do, and its pipes.

    Attributes:
        control: To and from the coordinator.
        inbox: From the other workers.
        outboxes: To each worker, in order.
    """

    index: int
    plan: Plan
    target: Target
    shares: list[RoomShare]
    control: Any
    inbox: Any
    outboxes: list[Any]


class Worker:
    """Plays its share of the members until it is told to stop."""

    def __init__(self, assignment: Assignment) -> None:
        self._index, self._plan = assignment.index, assignment.plan
        self._control: Pipe[Any, Any] = assignment.control
        self._inbox: Pipe[Any, Any] = assignment.inbox
        self._outboxes: list[Pipe[Any, Any]] = assignment.outboxes
        self._rooms = {share.room: Room(share) for share in assignment.shares}
        self._protocol = PROTOCOLS[self._plan.protocol](self._plan)
        self._poller = open_poller()
        self._clients = Clients(
            self._plan,
            assignment.target,
            self._protocol,
            list(self._rooms.values()),
            self._index,
            self._poller,
            self._deliver,
        )
        self._touched: dict[Room, None] = {}
        self._closed_loop = ClosedLoop(self._plan.window, self._publish)
        self._open_loop: OpenLoop | None = None
        self._connecting = self._driving = False
        self._running = True
        self._told_at = 0.0
        self._told_settled = False
        self._meter = Meter(self._rooms)

    def run(self) -> None:
        """Work until the coordinator says STOP, or is gone."""
        self._special = {self._control.fileno(): self._obey, self._inbox.fileno(): self._hear}
        for fd in self._special:
            self._poller.register(fd, READ)
        try:
            while self._running:
                self._turn()
        except BrokenPipeError:
            pass  # the coordinator is gone
        finally:
            self._clients.close()
            self._poller.close()

    def _turn(self) -> None:
        timeout = PROGRESS_SECONDS
        if self._open_loop is not None:
            timeout = self._open_loop.wait(time.monotonic_ns())
        for fd, mask in self._poller.poll(timeout):
            if fd in self._special:
                self._special[fd]()
            else:
                self._clients.handle(fd, mask)
        if self._connecting:
            self._clients.open_more()
        if self._driving:
            self._drive()
        self._tell()

    def _obey(self) -> None:
        try:
            order = self._control.recv()
        except (EOFError, ConnectionError):
            self._running = False  # the coordinator is gone
            return
        if order is Order.CONNECT:
            self._connecting = True
        elif order is Order.DRIVE:
            self._start_driving()
        elif order is Order.MEASURE:
            self._meter.start()
        elif order is Order.HOLD:
            self._hold()
        elif order is Order.STOP:
            self._running = False
            self._control.send(self._meter.result(self._clients))
        else:
            self._interrupt(order)

    def _interrupt(self, order: Order) -> None:
        """Carry out a step of being cut, missing something, and coming back for it."""
        if order is Order.CUT:
            self._clients.cut()
        elif order is Order.MISS:
            for room in self._rooms.values():
                self._publish(room, [time.monotonic_ns()] * self._plan.missed)
        elif order is Order.COME_BACK:
            seen = {number: room.position for number, room in self._rooms.items() if room.position}
            self._clients.come_back(Returning(self._plan, seen))
            self._told_settled = False
            self._meter.start()

    def _start_driving(self) -> None:
        self._driving = True
        rooms = list(self._rooms.values())
        self._touched = dict.fromkeys(rooms)
        if self._plan.rate:
            self._open_loop = OpenLoop(self._plan.rate, rooms, self._publish, time.monotonic_ns())

    def _hold(self) -> None:
        """Publish no more, and read on: what is under way belongs to those who wait for it."""
        self._driving, self._open_loop = False, None
        self._meter.stop()
        self._told_at = 0.0  # so that the coordinator hears of it at once

    def _drive(self) -> None:
        """Publish what is due, after all that could be read has been read."""
        if self._open_loop is not None:
            self._open_loop.advance(time.monotonic_ns())
        elif self._touched:
            self._closed_loop.advance(self._touched, time.monotonic_ns())
            self._report_shares()
        self._touched = {}

    def _publish(self, room: Room, times: list[int]) -> None:
        publisher = room.publisher
        if publisher is None or publisher.fileno() < 0:
            return  # what nobody sends, nobody can lose
        frames = []
        for due in times:
            stamp = make_stamp(due, room.published)
            payload = stamped_payload(self._plan.size, stamp)
            text = self._protocol.publication(room.share.room, payload, stamp)
            frames.append(self._protocol.frame(text))
            room.published += 1
        self._clients.send(publisher, b"".join(frames))

    def _deliver(self, connection: Connection, stamps: list[tuple[int, int]]) -> None:
        room, count = connection.room, len(stamps)
        room.delivered += count
        self._touched[room] = None
        last = connection.number + count
        if connection.sampled or stamps[-1][1] != last:
            self._meter.look(connection, stamps)
        else:
            connection.number = last

    def _report_shares(self) -> None:
        """Tell the publisher's worker what the members here have."""
        for room in self._touched:
            owner, completed = room.share.publisher, room.completed
            if owner != self._index and completed > room.told:
                room.told = completed
                self._outboxes[owner].send(Completed(room.share.room, self._index, completed))

    def _hear(self) -> None:
        message: Completed = self._inbox.recv()
        room = self._rooms[message.room]
        room.elsewhere[message.worker] = message.publications
        self._touched[room] = None

    def _tell(self) -> None:
        """Tell the coordinator how it goes, from time to time."""
        now = time.monotonic()
        news = self._clients.settled and not self._told_settled
        if news or now - self._told_at >= PROGRESS_SECONDS:
            self._told_at, self._told_settled = now, self._clients.settled
            self._control.send(self._progress())

    def _progress(self) -> Progress:
        rooms = self._rooms.values()
        return Progress(
            ready=self._clients.ready,
            dead=self._clients.dead,
            delivered=sum(room.delivered for room in rooms),
            published=sum(room.published for room in rooms),
            driving=self._driving,
        )


class Meter:
    """Counts from `start` to `stop`; before and after, it only keeps track of the order."""

    def __init__(self, rooms: dict[int, Room]) -> None:
        self._rooms = rooms
        self._measuring = False
        self._latencies = Histogram()
        self._out_of_order = 0
        self._start = (0, 0, 0.0, 0.0)
        self._stop: tuple[int, int, float, float] | None = None

    def start(self) -> None:
        """Begin to measure."""
        self._measuring = True
        self._start = self._now()

    def stop(self) -> None:
        """Measure no more."""
        self._measuring = False
        self._stop = self._now()

    def look(self, connection: Connection, stamps: list[tuple[int, int]]) -> None:
        """Note whether deliveries to one connection are in order, and of a sample how late."""
        now, timed = time.monotonic_ns(), self._measuring and connection.sampled
        for due, number in stamps:
            if timed:
                self._latencies.record(now - due)
            if number != connection.number + 1:
                self._out_of_order += 1
                connection.skipped += number - connection.number - 1
            connection.number = number

    def result(self, clients: Clients) -> Result:
        """Return what was measured between `start` and `stop`, or now."""
        delivered, published, seconds, cpu = self._stop or self._now()
        delivered0, published0, seconds0, cpu0 = self._start
        return Result(
            ready=clients.ready,
            dead=clients.dead,
            set_up=clients.set_up,
            return_=clients.return_,
            delivered=delivered - delivered0,
            published=published - published0,
            seconds=seconds - seconds0,
            cpu_seconds=cpu - cpu0,
            out_of_order=self._out_of_order,
            latencies=self._latencies,
            errors=dict(clients.errors),
            tallies=clients.tallies(),
        )

    def _now(self) -> tuple[int, int, float, float]:
        rooms = self._rooms.values()
        return (
            sum(room.delivered for room in rooms),
            sum(room.published for room in rooms),
            time.monotonic(),
            time.process_time(),
        )


def run_worker(assignment: Assignment) -> None:
    """Be a worker: what its process runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator ends its workers itself
    _raise_file_limit()
    if assignment.plan.pin:
        pin(1 + assignment.index)
    gc.disable()  # nothing here makes cycles, and a pause would count as the server's
    try:
        Worker(assignment).run()
    except OSError as error:
        assignment.control.send(Failed(f"a worker stopped: {error}"))


def pin(turn: int) -> None:
    """Bind this process to one core: the first is the server's, the workers share the others."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0 if turn == 0 else 1 + (turn - 1) % max(len(cores) - 1, 1)]})


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
