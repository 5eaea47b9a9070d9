"""`rooms.core.limits`: token buckets that look at the clock only when they must."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.core.limits import Rate, TokenBucket, rate

TEN = Rate("things", per_second=10, burst=20)


class Exact:
    """A token bucket that looks at the clock every time; what it refuses is owed."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._left = rate.burst
        self._now = 0.0

    def take(self, now: float) -> bool:
        """Take one; return whether it was there."""
        earned = (now - self._now) * self._rate.per_second
        self._left = min(self._rate.burst, self._left + earned) - 1
        self._now = now
        return self._left >= -1e-9


class Counting:
    """Uses a bucket as it is meant to be used.

    Attributes:
        looks: How often the time was told.
    """

    def __init__(self, rate: Rate) -> None:
        self.bucket = TokenBucket(rate, 0.0)
        self.count = 0
        self.looks = 0

    def take(self, now: float) -> bool:
        """Use one more; return whether that was granted."""
        self.count += 1
        if self.count <= self.bucket.until:
            return True
        self.looks += 1
        return self.bucket.refill(self.count, now)


def test_a_burst_is_granted_and_not_one_more() -> None:
    user = Counting(TEN)
    assert [user.take(0.0) for _ in range(21)] == [True] * 20 + [False]


def test_nobody_looks_at_the_clock_within_a_burst() -> None:
    user = Counting(TEN)
    for _ in range(20):
        user.take(0.0)
    assert user.looks == 0


def test_what_was_earned_is_granted() -> None:
    user = Counting(TEN)
    assert all(user.take(0.0) for _ in range(20))
    assert [user.take(0.5) for _ in range(6)] == [True] * 5 + [False]


def test_no_more_than_a_burst_is_earned() -> None:
    user = Counting(TEN)
    assert all(user.take(0.0) for _ in range(20))
    assert [user.take(3600.0) for _ in range(22)] == [True] * 21 + [False]  # one was looked for


def test_what_is_refused_must_be_earned_too() -> None:
    user = Counting(TEN)
    for _ in range(20 + 10):
        user.take(0.0)
    assert user.bucket.seconds_until(user.count) == pytest.approx(1.001)
    assert not user.take(1.0)  # and that is owed as well
    assert user.bucket.seconds_until(user.count + 1) == pytest.approx(0.201)
    assert user.take(1.21)


def test_who_owes_more_than_a_burst_abuses_it() -> None:
    user = Counting(TEN)
    for _ in range(20 + 20):
        user.take(0.0)
    assert not user.bucket.abused(user.count)
    user.take(0.0)
    assert user.bucket.abused(user.count)


def test_a_steady_use_of_just_the_rate_is_always_granted() -> None:
    user = Counting(TEN)
    assert all(user.take(n * 0.1) for n in range(10_000))


def test_a_rate_of_nothing_is_no_limit() -> None:
    user = Counting(rate("things", 0, seconds=5))
    assert all(user.take(0.0) for _ in range(10_000))
    assert user.looks == 0


def test_the_burst_is_what_some_seconds_allow_but_never_less_than_what_must_get_through() -> None:
    assert rate("bytes", 100, seconds=5).burst == 500
    assert rate("bytes", 100, seconds=5, least=9000).burst == 9000
    assert rate("joins", 0.1, seconds=5).burst == 1


def test_all_connections_share_one_rate() -> None:
    assert rate("bytes", 100, seconds=5) is rate("bytes", 100, seconds=5)


rates = st.builds(Rate, st.just("things"), st.sampled_from([0.5, 3, 10]), st.integers(1, 10))
pauses = st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.0625, 0.25, 1.0, 30.0]), max_size=60)


@given(rates, pauses)
def test_whatever_an_exact_bucket_grants_is_granted(rate: Rate, pauses: list[float]) -> None:
    exact, user, now = Exact(rate), Counting(rate), 0.0
    for pause in pauses:
        now += pause
        granted = exact.take(now)
        assert user.take(now) or not granted


@given(rates, pauses)
def test_no_more_than_one_burst_beyond_the_rate_is_granted(rate: Rate, pauses: list[float]) -> None:
    user, now, times = Counting(rate), 0.0, []
    for pause in pauses:
        now += pause
        if user.take(now):
            times.append(now)
    for first, start in enumerate(times):
        for last in range(first, len(times)):
            allowed = 2 * rate.burst + (times[last] - start) * rate.per_second
            assert last - first + 1 <= allowed + 1


@given(rates, pauses, st.integers(1, 5))
def test_whoever_waits_as_long_as_told_is_granted(
    rate: Rate, pauses: list[float], amount: int
) -> None:
    user, now = Counting(rate), 0.0
    for pause in pauses:
        now += pause
        user.take(now)
    wanted = user.count + amount
    now += user.bucket.seconds_until(wanted) if wanted > user.bucket.until else 0.0
    if amount <= rate.burst:
        assert user.bucket.refill(wanted, now)
