"""`rooms.server.tickets`: good once, for a time, and for one user."""

from __future__ import annotations

import pytest

from rooms import Identity, User
from rooms.errors import Unavailable
from rooms.server.tickets import Tickets

ANA, BEN = Identity(user=User("ana")), Identity(user=User("ben"))


def test_a_ticket_is_good_once() -> None:
    tickets = Tickets()
    ticket = tickets.issue(ANA, 30, now=100)
    assert tickets.redeem(ticket, now=101) is ANA
    assert tickets.redeem(ticket, now=101) is None
    assert len(tickets) == 0


def test_a_ticket_is_good_for_a_time() -> None:
    tickets = Tickets()
    early, late = tickets.issue(ANA, 30, now=100), tickets.issue(ANA, 30, now=100)
    assert tickets.redeem(early, now=129) is ANA
    assert tickets.redeem(late, now=130) is None


def test_every_ticket_is_another_and_none_is_guessed() -> None:
    tickets = Tickets()
    issued = {tickets.issue(ANA, 30, now=100) for _ in range(5)}
    assert len(issued) == 5
    assert min(map(len, issued)) >= 32
    for guess in ("", "x", "\ud800", min(issued)[:-1]):
        assert tickets.redeem(guess, now=100) is None


def test_what_is_kept_of_a_ticket_is_not_the_ticket() -> None:
    tickets = Tickets()
    ticket = tickets.issue(ANA, 30, now=100)
    assert ticket not in repr(vars(tickets))


def test_of_one_user_the_oldest_is_given_up() -> None:
    tickets = Tickets(limit_per_user=2)
    first, second, third = (tickets.issue(ANA, 30, now=100) for _ in range(3))
    other = tickets.issue(BEN, 30, now=100)
    assert tickets.redeem(first, now=100) is None
    assert tickets.redeem(second, now=100) is tickets.redeem(third, now=100) is ANA
    assert tickets.redeem(other, now=100) is BEN


def test_too_many_in_all_are_refused_until_some_are_over() -> None:
    tickets = Tickets(limit=2)
    for identity in (ANA, BEN):
        tickets.issue(identity, 30, now=100)
    with pytest.raises(Unavailable):
        tickets.issue(Identity(user=User("cid")), 30, now=129)
    tickets.issue(Identity(user=User("cid")), 30, now=130)
    assert len(tickets) == 1


def test_a_users_tickets_can_be_dropped() -> None:
    tickets = Tickets()
    mine, other = tickets.issue(ANA, 30, now=100), tickets.issue(BEN, 30, now=100)
    tickets.drop("ana")
    tickets.drop("nobody")
    assert tickets.redeem(mine, now=100) is None
    assert tickets.redeem(other, now=100) is BEN
