"""One worker, told what to do over its pipes."""

from __future__ import annotations

import json
import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from typing import Any

import pytest

from rooms.bench.frames import STAMP
from rooms.bench.messages import Completed, Failed, Order, Progress, Result, Tally
from rooms.bench.plan import make_plan
from rooms.bench.shares import divide
from rooms.bench.worker import Assignment, Worker
from rooms.protocol.frames import server_frame
from tests.bench.fakes import SECONDS, SWITCHING, Peer, Stage

PLAIN = {"protocol": "plain"}
JOINED = server_frame(b'{"type":"reply","id":1,"position":["e",0]}')


class Bench:
    """A worker in a thread, the coordinator's end of its pipe, and the server's side."""

    def __init__(self, stage: Stage, index: int, workers: int, **changes: Any) -> None:
        plan = make_plan(**{"scenario": "fan-out", "workers": workers, **PLAIN, **changes})
        self.control, theirs = multiprocessing.Pipe()
        self.boxes = [multiprocessing.Pipe(duplex=False) for _ in range(workers)]
        assignment = Assignment(
            index=index,
            plan=plan,
            target=stage.target,
            shares=divide(plan)[index],
            control=theirs,
            inbox=self.boxes[index][0],
            outboxes=[sender for _, sender in self.boxes],
        )
        self._pipes: list[Pipe[Any, Any]] = [self.control, theirs]
        self._pipes += [end for box in self.boxes for end in box]
        self.thread = threading.Thread(target=Worker(assignment).run)
        self.thread.start()

    def hear(self, kind: type[Any]) -> Any:
        """The next message of a kind, and no older one."""
        while self.control.poll(SECONDS):
            message = self.control.recv()
            if isinstance(message, kind):
                return message
        raise AssertionError(f"the worker sent no {kind.__name__}")

    def hear_ready(self, count: int) -> None:
        """Wait until so many clients are ready."""
        while self.hear(Progress).ready < count:
            pass

    def close(self) -> None:
        """End the worker."""
        for pipe in self._pipes[:1]:
            pipe.close()
        self.thread.join(SECONDS)
        for pipe in self._pipes[1:]:
            pipe.close()


def wait_for(running: Bench, delivered: int) -> None:
    """Wait until so much has come."""
    while running.hear(Progress).delivered < delivered:
        pass


@contextmanager
def bench(index: int = 0, workers: int = 1, **changes: Any) -> Iterator[tuple[Bench, Stage]]:
    """A worker and the server that it plays against."""
    with Stage() as stage:
        running = Bench(stage, index, workers, **changes)
        try:
            yield running, stage
        finally:
            running.close()
        assert not running.thread.is_alive()


def connect(running: Bench, stage: Stage, count: int) -> list[Peer]:
    """Let the worker connect; returns the server's ends."""
    running.control.send(Order.CONNECT)
    peers = []
    for _ in range(count):
        peer = stage.accept()
        peer.request()
        peer.send(SWITCHING)
        peers.append(peer)
    running.hear_ready(count)
    return peers


def join(stage: Stage, reply: bytes = JOINED) -> Peer:
    """Let one of the worker's clients into its room; returns the server's end."""
    peer = stage.accept()
    peer.request()
    peer.send(SWITCHING + reply)
    peer.messages()
    return peer


def numbers(texts: list[bytes]) -> list[int]:
    """Which publications these are."""
    return [int(text.split(STAMP)[1][16:24], 16) for text in texts]


def test_a_worker_measures_from_the_order_on_until_it_is_told_to_stop() -> None:
    with bench(connections=2) as (running, stage):
        publisher, other = connect(running, stage, 2)
        running.control.send(Order.DRIVE)
        for turn in range(4):
            if turn == 2:
                running.control.send(Order.MEASURE)
                running.hear(Progress)
            ((_, text),) = publisher.messages()
            for peer in (publisher, other):
                peer.send(server_frame(text))
        ((_, text),) = publisher.messages()
        assert numbers([text]) == [4]
        running.control.send(Order.STOP)
        result: Result = running.hear(Result)
    assert (result.ready, result.dead, result.out_of_order) == (2, 0, 0)
    assert result.delivered <= 4
    assert result.latencies.total == result.delivered
    assert result.seconds > 0


def test_a_window_of_publications_is_sent_at_once() -> None:
    with bench(connections=1, window=3) as (running, stage):
        (publisher,) = connect(running, stage, 1)
        running.control.send(Order.DRIVE)
        assert numbers([text for _, text in publisher.messages()]) == [0, 1, 2]


def test_a_gap_is_noticed() -> None:
    with bench(connections=1, window=2) as (running, stage):
        (publisher,) = connect(running, stage, 1)
        running.control.send(Order.DRIVE)
        first, second = (text for _, text in publisher.messages())
        publisher.send(server_frame(second) + server_frame(first))
        publisher.messages()
        running.control.send(Order.STOP)
        assert running.hear(Result).out_of_order == 2


def test_a_gap_is_noticed_on_connections_that_are_not_sampled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rooms.bench.clients.SAMPLE", 1)
    with bench(connections=2, window=2) as (running, stage):
        publisher, other = connect(running, stage, 2)
        running.control.send(Order.MEASURE)
        running.control.send(Order.DRIVE)
        _, second = (text for _, text in publisher.messages())
        other.send(server_frame(second))
        wait_for(running, delivered=1)
        running.control.send(Order.STOP)
        result: Result = running.hear(Result)
    assert (result.out_of_order, result.latencies.total) == (1, 0)
    assert result.tallies == [Tally(room=0, published=2, members={0: 1, 1: 1})]


def test_what_comes_late_or_twice_is_out_of_order_but_not_lost() -> None:
    with bench(connections=1, window=3) as (running, stage):
        (publisher,) = connect(running, stage, 1)
        running.control.send(Order.DRIVE)
        first, second, third = (server_frame(text) for _, text in publisher.messages())
        running.control.send(Order.HOLD)
        publisher.send(second + first + first + third)
        wait_for(running, delivered=4)
        running.control.send(Order.STOP)
        result: Result = running.hear(Result)
    assert result.out_of_order == 4
    assert result.tallies == [Tally(room=0, published=3, members={4: 1})]


def test_after_the_order_to_hold_nothing_is_published_and_what_still_comes_is_tallied() -> None:
    with bench(connections=3) as (running, stage):
        publisher, other, _forgotten = connect(running, stage, 3)
        running.control.send(Order.DRIVE)
        running.control.send(Order.MEASURE)
        ((_, text),) = publisher.messages()
        running.control.send(Order.HOLD)
        while (progress := running.hear(Progress)).driving:
            pass
        assert (progress.published, progress.delivered) == (1, 0)
        for peer in (publisher, other):
            peer.send(server_frame(text))
        wait_for(running, delivered=2)
        running.control.send(Order.STOP)
        result: Result = running.hear(Result)
    assert result.tallies == [Tally(room=0, published=1, members={1: 2, 0: 1})]
    assert (result.delivered, result.latencies.total) == (0, 0)


def test_at_a_fixed_rate_publications_come_without_any_delivery() -> None:
    with bench(connections=1, rate=500.0) as (running, stage):
        (publisher,) = connect(running, stage, 1)
        running.control.send(Order.DRIVE)
        seen: list[int] = []
        while len(seen) < 5:
            seen += numbers([text for _, text in publisher.messages()])
        assert seen == list(range(len(seen)))


def test_the_publishers_worker_waits_for_the_others() -> None:
    with bench(index=0, workers=2, connections=2) as (running, stage):
        (publisher,) = connect(running, stage, 1)
        running.control.send(Order.DRIVE)
        ((_, first),) = publisher.messages()
        publisher.send(server_frame(first))
        running.hear(Progress)
        running.boxes[0][1].send(Completed(room=0, worker=1, publications=1))
        ((_, second),) = publisher.messages()
        assert numbers([first, second]) == [0, 1]


def test_another_worker_tells_the_publishers_what_its_members_have() -> None:
    with bench(index=1, workers=2, connections=2) as (running, stage):
        (member,) = connect(running, stage, 1)
        running.control.send(Order.DRIVE)
        member.send(server_frame(b'{"stamp":"stamp-%016x%08x"}' % (1, 0)))
        assert running.boxes[0][0].poll(SECONDS)
        assert running.boxes[0][0].recv() == Completed(room=0, worker=1, publications=1)


def test_a_publication_is_done_when_it_is_acknowledged() -> None:
    with bench(scenario="publish", protocol="native", connections=1) as (running, stage):
        running.control.send(Order.CONNECT)
        peer = join(stage)
        running.control.send(Order.DRIVE)
        ((_, text),) = peer.messages()
        peer.send(server_frame(text))  # its delivery to the publisher is not counted
        peer.send(server_frame(b'{"type":"reply","id":"%b"}' % json.loads(text)["id"].encode()))
        ((_, text),) = peer.messages()
        assert numbers([text]) == [1]
        running.control.send(Order.STOP)
        result: Result = running.hear(Result)
    assert (result.delivered, result.out_of_order) == (1, 0)


def test_a_worker_publishes_what_the_others_miss_and_lets_them_come_back() -> None:
    changes: dict[str, Any] = {
        "scenario": "recover",
        "protocol": "native",
        "connections": 2,
        "missed": 1,
    }
    with bench(**changes) as (running, stage):
        running.control.send(Order.CONNECT)
        publisher, other = join(stage), join(stage)
        running.hear_ready(2)
        running.control.send(Order.CUT)
        assert other.socket.recv(100) == b""
        running.control.send(Order.MISS)
        ((_, text),) = publisher.messages()
        running.control.send(Order.COME_BACK)
        missed = b'{"type":"reply","id":1,"recovered":true,"missed":[%b]}' % text
        join(stage, server_frame(missed))
        running.hear_ready(2)
        running.control.send(Order.STOP)
        result: Result = running.hear(Result)
    assert (result.ready, result.dead, result.return_.count) == (2, 0, 1)


def test_a_worker_ends_when_its_coordinator_is_gone() -> None:
    with bench(connections=1) as (running, _):
        running.control.close()
        running.thread.join(SECONDS)
        assert not running.thread.is_alive()


def test_messages_survive_the_pipe() -> None:
    one, other = multiprocessing.Pipe()
    with one, other:
        for message in (Order.STOP, Progress(1, 2, 3), Completed(1, 2, 3), Failed("why")):
            one.send(message)
            assert other.recv() == message
