"""Numbers that only go up, for operators: counting one costs an addition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Metric(NamedTuple):
    """What is counted: one sentence, and the names of what tells its numbers apart."""

    help: str
    labels: tuple[str, ...] = ()


METRICS: dict[str, Metric] = {
    "disconnects": Metric("Connections that ended.", ("code",)),
    "request_errors": Metric("Commands that were answered by an error.", ("code",)),
    "refusals": Metric("Connections refused before they were accepted.", ("reason",)),
    "admin_refusals": Metric("Requests to the admin API that were refused.", ("reason",)),
    "slow_consumers": Metric("Clients that did not read in time.", ("policy", "rooms")),
    "dropped_messages": Metric("Messages that slow clients did not get.", ("policy", "rooms")),
    "ignored_messages": Metric("Messages of other nodes that were ignored.", ("reason",)),
    "unanswered_questions": Metric("Questions that another node did not answer in time."),
    "rate_limited": Metric("Messages refused because they came too fast.", ("limit",)),
}
"""Everything that can be counted; the documentation and `/metrics` are made from it."""


class Counters:
    """The counts of one node."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, ...], int] = {}

    def add(self, name: str, *labels: str, amount: int = 1) -> None:
        """Count ``amount`` more of a metric.

        Raises:
            KeyError, ValueError: There is no metric of that name, or with so many labels.
        """
        if len(METRICS[name].labels) != len(labels):
            raise ValueError(f"{name} has the labels {METRICS[name].labels}, not {labels}")
        key = (name, *labels)
        self._counts[key] = self._counts.get(key, 0) + amount

    def get(self, name: str, *labels: str) -> int:
        """Return a count; what was never counted is 0."""
        return self._counts.get((name, *labels), 0)

    def total(self, name: str) -> int:
        """Return the sum of a metric's counts, whatever their labels."""
        return sum(count for (other, *_), count in self._counts.items() if other == name)

    def __iter__(self) -> Iterator[tuple[str, tuple[str, ...], int]]:
        """Yield each metric's name with its labels' values and its count."""
        for (name, *labels), count in self._counts.items():
            yield name, tuple(labels), count
