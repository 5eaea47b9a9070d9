"""Token buckets: how fast one client may go.

The clock is never read for what is within the limit.  Whoever counts compares its count with
`TokenBucket.until`, and only when it is past that says what time it is.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second, and so many at once.

    Attributes:
        name: What it limits, in the plural, for people and metrics.
        per_second: 0 sets no limit.
        burst: What may come at once after a quiet time.
    """

    name: str
    per_second: float
    burst: float


@lru_cache(maxsize=64)
def rate(name: str, per_second: float, seconds: float, least: float = 1) -> Rate:
    """Return the rate whose burst is what ``seconds`` allow; every caller shares the same.

    Args:
        least: The burst is never smaller, so that what is let in at all gets through some time.
    """
    return Rate(name, per_second, max(per_second * seconds, least) if per_second else sys.maxsize)


class TokenBucket:
    """Up to which count one client is within a `Rate`.

    What goes beyond the limit is owed: nothing is granted before that has been earned, too.  So to
    wait for `seconds_until` helps, and to go on without a pause never does.

    It never refuses what an exact bucket would grant.  Between two looks at the clock nothing is
    earned and nothing overflows, so that it may grant one burst more than an exact one.

    Args:
        now: The time in seconds, of any clock that only goes forward.

    Attributes:
        until: Counts up to this one need no look at the clock.
    """

    __slots__ = ("_since", "rate", "until")

    def __init__(self, rate: Rate, now: float) -> None:
        self.rate = rate
        self.until = rate.burst
        self._since = now

    def refill(self, count: int, now: float) -> bool:
        """Add what was earned since the last time; return whether nothing is owed.

        Args:
            count: What was used until now, since the beginning.
        """
        earned = (now - self._since) * self.rate.per_second
        self.until = min(self.until + earned, count + self.rate.burst)
        self._since = now
        return count <= self.until

    def seconds_until(self, count: int) -> float:
        """Return how long to use nothing until ``count`` will be granted: whole ms, rounded up."""
        missing = max(0.0, count - self.until)
        return (math.floor(missing / self.rate.per_second * 1000) + 1) / 1000

    def abused(self, count: int) -> bool:
        """Whether more than a whole burst is owed: somebody goes on after being told to wait."""
        return count - self.until > self.rate.burst
