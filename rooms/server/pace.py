"""How fast one client may send, and what happens when it is faster."""

from __future__ import annotations

import trio

from rooms.config import Settings
from rooms.core.limits import TokenBucket, rate
from rooms.errors import RateLimited, TooManyRequests
from rooms.server.counters import Counters

HEADER_BYTES = 14
"""What a frame takes beside its payload, at most (RFC 6455, section 5.2)."""


class Pace:
    """The rate limits of one connection.

    Who is over a limit is told how long to wait; what it sends meanwhile is not done and makes the
    wait longer.  Who owes a whole burst is cut off.

    It is asked only by who is past one of its two counts; within them nobody looks at the clock.

    Attributes:
        messages: The count of messages up to which there is no need to ask.
        bytes: The same of all that arrives, whatever it is.
    """

    __slots__ = (
        "_bytes",
        "_counters",
        "_joins",
        "_messages",
        "_other_frames",
        "_tried",
        "bytes",
        "messages",
    )

    def __init__(self, settings: Settings, counters: Counters) -> None:
        now, seconds = trio.current_time(), settings.rate_burst_seconds
        self._counters = counters
        largest = 2 * settings.message_bytes  # a message that is let in must get through some time
        self._messages = TokenBucket(rate("messages", settings.rate_messages, seconds), now)
        self._bytes = TokenBucket(rate("bytes", settings.rate_bytes, seconds, largest), now)
        self._joins = TokenBucket(rate("joins", settings.rate_joins, seconds), now)
        self._other_frames = 0  # pings, pongs and fragments: each counts as a message does
        self._tried = 0  # joins
        self._grant(True)

    def check(self, messages: int, received: int, size: int) -> None:
        """Do nothing if a message came in time.

        Args:
            messages: All until now, this one too.
            received: All bytes until now.
            size: Of the message's payload, in bytes.

        Raises:
            RateLimited: It came too fast.
            TooManyRequests: So did very many before it.
        """
        self._settle(messages, received)
        self._check(self._messages, messages + self._other_frames, 1)
        self._check(self._bytes, received, size + HEADER_BYTES)

    def check_abuse(self, messages: int, received: int, frames: int) -> None:
        """Do nothing unless far too much arrived, whole messages or not.

        Args:
            messages: All until now.
            received: All bytes until now.
            frames: Those that came since the last time and were no whole messages.

        Raises:
            TooManyRequests: It did.
        """
        self._other_frames += frames
        self._settle(messages, received)
        counts = ((self._messages, messages + self._other_frames), (self._bytes, received))
        for bucket, count in counts:
            if bucket.abused(count):
                self._counters.add("rate_limited", bucket.rate.name)
                raise TooManyRequests(f"too many {bucket.rate.name}")

    def check_join(self) -> None:
        """Count a join, and do nothing if it came in time.

        Raises:
            RateLimited, TooManyRequests: As `check`.
        """
        self._tried += 1
        if self._tried > self._joins.until:
            self._joins.refill(self._tried, trio.current_time())
            self._check(self._joins, self._tried, 1)

    def forget_join(self) -> None:
        """Undo `check_join`, for one that is to be tried again."""
        self._tried -= 1

    def _settle(self, messages: int, received: int) -> None:
        now = trio.current_time()
        self._messages.refill(messages + self._other_frames, now)
        self._grant(self._bytes.refill(received, now))

    def _grant(self, bytes_left: bool) -> None:
        """Say up to which counts nobody need ask; while bytes are owed, every message must."""
        self.messages = int(self._messages.until) - self._other_frames if bytes_left else -1
        self.bytes = int(self._bytes.until)

    def _check(self, bucket: TokenBucket, count: int, amount: int) -> None:
        if count <= bucket.until:
            return
        name, per_second = bucket.rate.name, bucket.rate.per_second
        self._counters.add("rate_limited", name)
        if bucket.abused(count):
            raise TooManyRequests(f"too many {name}")
        wait = bucket.seconds_until(count + amount)
        raise RateLimited(
            f"A client may send {per_second:g} {name} a second; wait {wait:g} s.", wait
        )


class Throttle:
    """The same rates for an endpoint of an application's own, where nobody can be told to wait.

    Who is over a limit is not read for as long as it takes: its own machine has it wait.
    """

    __slots__ = ("_buckets", "_counters")

    def __init__(self, settings: Settings, counters: Counters) -> None:
        now, seconds = trio.current_time(), settings.rate_burst_seconds
        rates = (("messages", settings.rate_messages), ("bytes", settings.rate_bytes))
        self._counters = counters
        self._buckets = [
            TokenBucket(rate(name, per_second, seconds), now) for name, per_second in rates
        ]

    def delay(self, frames: int, received: int) -> float:
        """Return for how many seconds to read nothing.

        Args:
            frames: All until now, whole messages or not.
            received: All bytes until now.
        """
        longest = 0.0
        for bucket, count in zip(self._buckets, (frames, received), strict=True):
            if count > bucket.until and not bucket.refill(count, trio.current_time()):
                self._counters.add("rate_limited", bucket.rate.name)
                longest = max(longest, bucket.seconds_until(count))
        return longest
