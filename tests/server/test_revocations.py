"""`rooms.server.revocations`: what holds no more, and for how long that is remembered."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from rooms import Identity, User
from rooms.server.revocations import Revocations


def identity(token_id: str = "", user: str = "ana", **claims: object) -> Identity:
    return Identity(user=User(user), token_id=token_id, claims=claims)


def test_a_token_is_revoked_until_it_would_have_ended() -> None:
    revocations = Revocations()
    revocations.add_token("t1", until=200, now=100)
    assert revocations.cover(identity("t1"), now=199)
    assert not revocations.cover(identity("t1"), now=200)
    assert not revocations.cover(identity("t2"), now=100)
    assert not revocations.cover(identity(), now=100)


def test_the_later_of_two_ends_holds() -> None:
    revocations = Revocations()
    revocations.add_token("t1", until=300, now=100)
    revocations.add_token("t1", until=200, now=100)
    assert revocations.cover(identity("t1"), now=250)


@pytest.mark.parametrize(
    ("issued", "revoked"), [(99, True), (100, True), (100.5, False), (101, False), ("99", False)]
)
def test_of_a_user_those_tokens_are_revoked_that_were_issued_before(
    issued: object, revoked: bool
) -> None:
    revocations = Revocations()
    revocations.add_user("ana", until=200, now=100)
    assert revocations.cover(identity(iat=issued), now=110) is revoked
    assert not revocations.cover(identity(iat=issued), now=200)
    assert not revocations.cover(identity(user="ben", iat=issued), now=110)


def test_a_user_can_be_revoked_again() -> None:
    revocations = Revocations()
    revocations.add_user("ana", until=200, now=100)
    revocations.add_user("ana", until=250, now=150)
    assert revocations.cover(identity(iat=140), now=210)
    assert not revocations.cover(identity(iat=151), now=210)


def test_what_is_over_is_forgotten_first() -> None:
    revocations = Revocations(limit=2)
    revocations.add_token("old", until=110, now=100)
    revocations.add_token("t1", until=200, now=100)
    with capture_logs() as logs:
        revocations.add_token("t2", until=200, now=120)
    assert revocations.cover(identity("t1"), now=120)
    assert revocations.cover(identity("t2"), now=120)
    assert logs == []


def test_beyond_the_limit_the_one_that_ends_next_is_forgotten_and_the_log_says_so() -> None:
    revocations = Revocations(limit=2)
    with capture_logs() as logs:
        for user, until in (("ana", 300), ("ben", 200), ("cid", 400)):
            revocations.add_user(user, until=until, now=100)
    covered = [
        revocations.cover(identity(user=user, iat=50), now=100) for user in ("ana", "ben", "cid")
    ]
    assert covered == [True, False, True]
    assert len(logs) == 1


class Counted(float):
    """A time that counts how often one is compared."""

    compared = 0

    def __le__(self, other: float) -> bool:
        Counted.compared += 1
        return super().__le__(other)

    def __lt__(self, other: float) -> bool:
        Counted.compared += 1
        return super().__lt__(other)


def test_the_last_of_very_many_costs_little_more_than_the_first() -> None:
    most = 1000
    revocations = Revocations(limit=most)
    Counted.compared = 0
    with capture_logs():
        for number in range(2 * most):
            until = Counted(200 + number * 7 % 1000)
            revocations.add_user(f"u{number}", until=until, now=100)
    assert Counted.compared < 100 * most
    assert len(revocations.unsaid(2 * most)) == most


def test_one_that_is_revoked_again_and_again_takes_no_more_room() -> None:
    revocations = Revocations(limit=2)
    for until in range(200, 1200):
        revocations.add_user("ana", until=until, now=100)
    assert sum(map(len, revocations._ends.values())) < 4
    revocations.add_user("ben", until=1000, now=1198)  # over already
    assert revocations.cover(identity(iat=50), now=1198)
    assert len(revocations.unsaid(10)) == 1
