"""What the coordinator makes of what its workers say."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection as Pipe
from typing import Any

import pytest

from rooms.bench.coordinator import Crew
from rooms.bench.errors import BenchError
from rooms.bench.histogram import Histogram
from rooms.bench.messages import Arrivals, Failed, Order, Progress, Result

SECONDS = 5.0

Pipes = list[tuple["Pipe[Any, Any]", "Pipe[Any, Any]"]]
"""For each worker the coordinator's end and its own."""


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    """The pipes of two workers."""
    made = [multiprocessing.Pipe() for _ in range(2)]
    yield made
    for ours, theirs in made:
        ours.close()
        theirs.close()


def test_an_order_reaches_every_worker(pipes: Pipes) -> None:
    Crew([ours for ours, _ in pipes]).tell(Order.DRIVE)
    assert [theirs.recv() for _, theirs in pipes] == [Order.DRIVE, Order.DRIVE]


def test_progress_is_the_sum_of_what_each_worker_said_last(pipes: Pipes) -> None:
    crew = Crew([ours for ours, _ in pipes])
    (_, first), (_, second) = pipes
    first.send(Progress(ready=1, dead=0, delivered=10))
    second.send(Progress(ready=5, dead=1, delivered=20))
    crew.listen(SECONDS)
    first.send(Progress(ready=2, dead=0, delivered=30, published=3, driving=True))
    crew.listen(SECONDS)
    assert crew.progress == Progress(7, 1, 50, published=3, driving=True)


def test_results_are_waited_for_from_every_worker(pipes: Pipes) -> None:
    crew = Crew([ours for ours, _ in pipes])
    for ready, (_, theirs) in enumerate(pipes):
        theirs.send(Progress(0, 0, 0))
        theirs.send(Result(ready, 0, Arrivals(), 0, 0, 1.0, 0.5, 0, Histogram(), {}))
    assert sorted(result.ready for result in crew.results()) == [0, 1]


def test_a_worker_that_failed_says_why(pipes: Pipes) -> None:
    crew = Crew([ours for ours, _ in pipes])
    pipes[1][1].send(Failed("too many open files"))
    with pytest.raises(BenchError, match="too many open files"):
        crew.listen(SECONDS)


def test_a_worker_that_is_gone_is_noticed(pipes: Pipes) -> None:
    crew = Crew([ours for ours, _ in pipes])
    pipes[0][1].close()
    with pytest.raises(BenchError, match="ended before its time"):
        crew.listen(SECONDS)
