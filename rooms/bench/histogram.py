"""Latencies, counted in classes."""

from __future__ import annotations

from msgspec import Struct

_SUB_BITS = 6


class Histogram(Struct):
    """Counts whole numbers in classes whose width is at most 1/32 of their value.

    So it stays small whatever it counts, several can be merged, and a percentile is off by at most
    two parts in a hundred.
    """

    counts: dict[int, int] = {}
    total: int = 0
    highest: int = 0

    def record(self, value: int) -> None:
        """Count one value; what is below 0 counts as 0."""
        value = max(value, 0)
        index = _index(value)
        self.counts[index] = self.counts.get(index, 0) + 1
        self.total += 1
        self.highest = max(self.highest, value)

    def merge(self, other: Histogram) -> None:
        """Add what another histogram counted."""
        for index, count in other.counts.items():
            self.counts[index] = self.counts.get(index, 0) + count
        self.total += other.total
        self.highest = max(self.highest, other.highest)

    def percentile(self, percent: float) -> float:
        """Return a value that ``percent`` of the counted ones do not exceed; 0 if there are none.

        It is the middle of its class.
        """
        wanted = percent / 100 * self.total
        seen = 0
        for index in sorted(self.counts):
            seen += self.counts[index]
            if seen >= wanted:
                return min(_middle(index), self.highest)
        return 0.0


def _index(value: int) -> int:
    """Return the class of a value: its power of two, and its place among 32 steps above that."""
    shift = max(value.bit_length() - _SUB_BITS, 0)
    return (shift << (_SUB_BITS - 1)) + (value >> shift)


def _middle(index: int) -> float:
    if index < 1 << _SUB_BITS:
        return float(index)
    shift = (index >> (_SUB_BITS - 1)) - 1
    step = index - (shift << (_SUB_BITS - 1))
    return (step + 0.5) * (1 << shift)
