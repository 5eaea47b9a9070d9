"""`rooms.core.tries`: how often somebody may guess."""

from __future__ import annotations

from rooms.core.tries import REMEMBERED, SECONDS, TRIES, FailedTries


def test_so_many_may_fail_at_once_and_then_one_at_a_time() -> None:
    tries, now = FailedTries(), 1000.0
    for _ in range(TRIES):
        assert tries.wait("a", now) == 0
        tries.fail("a", now)
    assert tries.wait("a", now) == SECONDS
    assert tries.wait("a", now + SECONDS - 1) == 1
    assert tries.wait("a", now + SECONDS) == 0
    tries.fail("a", now + SECONDS)
    assert tries.wait("a", now + SECONDS) == SECONDS


def test_nobody_waits_for_what_others_did() -> None:
    tries = FailedTries()
    for _ in range(2 * TRIES):
        tries.fail("a", 0.0)
    assert tries.wait("b", 0.0) == 0


def test_in_time_all_is_forgotten() -> None:
    tries = FailedTries()
    for _ in range(TRIES):
        tries.fail("a", 0.0)
    later = TRIES * SECONDS
    for _ in range(TRIES):
        assert tries.wait("a", later) == 0
        tries.fail("a", later)
    assert tries.wait("a", later) > 0


def test_no_more_are_remembered_than_that() -> None:
    tries = FailedTries()
    for number in range(REMEMBERED + 1):
        tries.fail(str(number), float(number))
    assert len(tries) == REMEMBERED


def test_what_was_right_after_all_is_forgiven() -> None:
    tries = FailedTries()
    for _ in range(3 * TRIES):
        tries.fail("a", 0.0)
        tries.forgive("a")
    tries.forgive("b")
    assert tries.wait("a", 0.0) == tries.wait("b", 0.0) == 0.0
