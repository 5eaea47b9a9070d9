"""`rooms.core.presence`: users, each with their connections."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from rooms.core.presence import LIST_BYTES, NAMED_CONNECTIONS, Changes, Roster
from rooms.protocol.commands import Presence

MANY = 1000
AWAY = Raw(b'{"status":"away"}')
BUSY = Raw(b'{"status":"busy"}')


def tell(roster: Roster) -> Changes | None:
    return roster.take_changes(MANY)


def one_user(*clients: str, details: Raw | None = None) -> Presence:
    """Ana with some connections, all of them with the same details."""
    more = {} if details is None else {"details": details}
    return {"ana": [{"client": client, **more} for client in clients]}


def joined(users: Presence, more: bool = False) -> Changes:
    return Changes(users, {}, {}, more)


def left(users: Presence, more: bool = False) -> Changes:
    return Changes({}, users, {}, more)


def changed(users: Presence, more: bool = False) -> Changes:
    return Changes({}, {}, users, more)


def with_ana(roster: Roster, *clients: str) -> Roster:
    """A roster that holds Ana, of whom everybody was told."""
    for client in clients:
        roster.add("ana", client)
    tell(roster)
    return roster


# Coming and going.


def test_a_user_joins_with_the_first_connection_only() -> None:
    roster = Roster()
    roster.add("ana", "c1")
    assert tell(roster) == joined(one_user("c1"))
    roster.add("ana", "c2")
    assert tell(roster) is None
    assert len(roster) == 1
    assert roster.page(MANY) == (one_user("c1", "c2"), False)


def test_a_user_leaves_with_the_last_connection_only() -> None:
    roster = with_ana(Roster(), "c1", "c2")
    roster.remove("ana", "c1")
    assert tell(roster) is None
    roster.remove("ana", "c2")
    assert tell(roster) == left(one_user("c2"))
    assert len(roster) == 0
    assert roster.page(MANY) == ({}, False)


def test_who_joins_is_told_with_all_connections_of_that_moment() -> None:
    roster = Roster()
    roster.add("ana", "c1")
    roster.add("ana", "c2")
    assert tell(roster) == joined(one_user("c1", "c2"))


def test_changes_that_undo_each_other_are_not_told() -> None:
    roster = Roster()
    roster.add("ana", "c1")
    roster.remove("ana", "c1")
    assert tell(roster) is None
    roster = with_ana(Roster(), "c2")
    roster.remove("ana", "c2")
    roster.add("ana", "c3")
    assert tell(roster) is None
    assert roster.page(MANY).users == one_user("c3")


def test_who_was_listed_in_between_is_told_of_all_the_same() -> None:
    roster = Roster()
    roster.add("ana", "c1")
    roster.page(MANY)
    roster.remove("ana", "c1")
    assert tell(roster) == left({"ana": []})
    roster = with_ana(Roster(), "c2")
    roster.remove("ana", "c2")
    roster.page(MANY)
    roster.add("ana", "c3")
    assert tell(roster) == changed(one_user("c3"))


def test_a_list_that_says_what_is_known_makes_nothing_to_tell() -> None:
    roster = with_ana(Roster(), "c1")
    roster.add("ana", "c2")
    roster.page(MANY)
    roster.remove("ana", "c2")
    assert tell(roster) is None


def test_changes_are_told_once() -> None:
    roster = Roster()
    roster.add("ana", "c1")
    assert roster.changed
    assert tell(roster)
    assert not roster.changed
    assert tell(roster) is None


def test_changes_that_nobody_is_to_be_told_are_dropped() -> None:
    roster = Roster()
    roster.add("ana", "c1")
    roster.drop_changes()
    assert tell(roster) is None


def test_to_remove_who_is_not_there_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError):
        Roster().remove("ana", "c1")
    with pytest.raises(ValueError, match="not in tuple"):
        with_ana(Roster(), "c1").remove("ana", "c2")


# Details.


def test_details_are_told_beside_the_connection() -> None:
    roster = Roster()
    roster.add("ana", "c1", AWAY)
    assert tell(roster) == joined(one_user("c1", details=AWAY))
    roster.set_details("ana", "c1", BUSY)
    assert tell(roster) == changed(one_user("c1", details=BUSY))
    roster.set_details("ana", "c1", None)
    assert tell(roster) == changed(one_user("c1"))


def test_details_that_are_as_they_were_are_not_told() -> None:
    roster = Roster()
    roster.add("ana", "c1", AWAY)
    tell(roster)
    roster.set_details("ana", "c1", AWAY)
    assert not roster.changed
    roster.set_details("ana", "c1", BUSY)
    roster.set_details("ana", "c1", AWAY)
    assert tell(roster) is None


def test_many_changes_of_details_are_told_as_one() -> None:
    roster = with_ana(Roster(), "c1", "c2")
    for details in (AWAY, None, BUSY):
        roster.set_details("ana", "c2", details)
    mixed: Presence = {"ana": [{"client": "c1"}, {"client": "c2", "details": BUSY}]}
    assert tell(roster) == changed(mixed)


def test_a_connection_with_details_is_told_of_when_it_comes_and_goes() -> None:
    roster = with_ana(Roster(), "c1")
    roster.add("ana", "c2", AWAY)
    mixed: Presence = {"ana": [{"client": "c1"}, {"client": "c2", "details": AWAY}]}
    assert tell(roster) == changed(mixed)
    roster.remove("ana", "c2")
    assert tell(roster) == changed(one_user("c1"))


def test_details_go_with_their_connection() -> None:
    roster = Roster()
    roster.add("ana", "c1", AWAY)
    roster.remove("ana", "c1")
    roster.add("ana", "c1")
    assert roster.page(MANY).users == one_user("c1")
    roster.set_details("ana", "c1", AWAY)
    roster.linger("ana", "c1")
    roster.add("ana", "c2")
    roster.add("ana", "c1")
    assert roster.page(MANY).users == one_user("c2", "c1")


# Of what members are told.


def test_every_connection_can_be_told_of() -> None:
    roster = with_ana(Roster("connections"), "c1")
    roster.add("ana", "c2")
    assert tell(roster) == changed(one_user("c1", "c2"))
    roster.remove("ana", "c1")
    assert tell(roster) == changed(one_user("c2"))
    roster.remove("ana", "c2")
    roster.add("ana", "c3")
    assert tell(roster) == changed(one_user("c3"))
    roster.remove("ana", "c3")
    assert tell(roster) == left(one_user("c3"))


def test_presence_that_is_off_counts_and_tells_nothing() -> None:
    roster = Roster("off")
    roster.add("ana", "c1", AWAY)
    roster.set_details("ana", "c1", BUSY)
    assert roster.silent
    assert not roster.changed
    assert len(roster) == 1


# Connections that were lost.


def test_who_comes_back_has_not_been_away() -> None:
    roster = with_ana(Roster(), "c1")
    roster.linger("ana", "c1")
    assert not roster.changed
    roster.add("ana", "c5")
    assert tell(roster) is None
    assert roster.page(MANY).users == one_user("c5")
    assert not roster.forget("ana", "c1")
    assert len(roster) == 1


def test_who_does_not_come_back_leaves_in_the_end() -> None:
    roster = with_ana(Roster(), "c1")
    roster.linger("ana", "c1")
    assert len(roster) == 1
    assert roster.forget("ana", "c1")
    assert tell(roster) == left(one_user("c1"))
    assert not roster.forget("ana", "c1")


def test_each_connection_that_comes_back_takes_the_place_of_one() -> None:
    roster = with_ana(Roster("connections"), "c1", "c2", "c3")
    roster.linger("ana", "c1")
    roster.linger("ana", "c3")
    roster.add("ana", "c4")
    assert tell(roster) == changed(one_user("c4", "c2", "c3"))
    assert not roster.forget("ana", "c1")
    assert roster.forget("ana", "c3")
    assert tell(roster) == changed(one_user("c4", "c2"))


def test_who_comes_back_with_the_same_details_has_not_changed() -> None:
    roster = Roster()
    roster.add("ana", "c1", AWAY)
    tell(roster)
    roster.linger("ana", "c1")
    roster.add("ana", "c2", AWAY)
    assert tell(roster) is None
    roster.linger("ana", "c2")
    roster.add("ana", "c3")
    assert tell(roster) == changed(one_user("c3"))


# Limits.


def names(start: int, stop: int) -> list[str]:
    return [f"u{number:03}" for number in range(start, stop)]


def crowd(users: int) -> Roster:
    roster = Roster()
    for number, name in reversed(list(enumerate(names(0, users)))):
        roster.add(name, f"c{number}")
    return roster


def test_changes_are_capped_and_say_so() -> None:
    roster = crowd(10)
    told = roster.take_changes(3)
    assert told is not None
    assert (len(told.joined), told.left, told.more) == (3, {}, True)
    assert len(roster) == 10
    assert not roster.changed
    for number, name in enumerate(names(0, 3)):
        roster.remove(name, f"c{number}")
    told = roster.take_changes(3)
    assert told is not None
    assert (list(told.left), told.more) == (names(0, 3), False)


def test_pages_are_in_the_order_of_the_names() -> None:
    roster = crowd(10)
    page = roster.page(4)
    assert (list(page.users), page.more) == (names(0, 4), True)
    page = roster.page(4, "u003")
    assert (list(page.users), page.more) == (names(4, 8), True)
    page = roster.page(4, "u007")
    assert (list(page.users), page.more) == (names(8, 10), False)
    assert roster.page(4, "u009") == ({}, False)


def test_a_page_goes_on_behind_a_user_who_has_left() -> None:
    roster = crowd(6)
    assert list(roster.page(3).users) == names(0, 3)
    roster.remove("u002", "c2")
    roster.remove("u004", "c4")
    roster.add("u001x", "c9")
    assert list(roster.page(3, "u002").users) == ["u003", "u005"]


def test_a_list_has_a_bounded_size() -> None:
    roster, details = Roster(), Raw(b'{"x":"%s"}' % (b"x" * 1000))
    for number, name in enumerate(names(0, 300)):
        roster.add(name, f"c{number}", details)
    page = roster.page(MANY)
    assert 0.95 * LIST_BYTES < 1000 * len(page.users) < LIST_BYTES
    assert page.more
    told = tell(roster)
    assert told is not None
    assert (len(told.joined), told.more) == (len(page.users), True)


def test_of_one_user_some_connections_are_named() -> None:
    roster = Roster()
    for number in range(NAMED_CONNECTIONS + 5):
        roster.add("ana", f"c{number}")
    assert len(roster.page(MANY).users["ana"]) == NAMED_CONNECTIONS


NAMES = st.sampled_from(["a", "b", "c", "d", "e"])


@given(st.lists(st.tuples(NAMES, st.booleans(), st.sampled_from([None, AWAY, BUSY]))))
def test_the_first_page_is_never_an_old_one(steps: list[tuple[str, bool, Raw | None]]) -> None:
    roster, expected = Roster(), dict[str, Raw | None]()
    for name, there, details in steps:
        if name in expected and there:
            roster.set_details(name, name, details)
        elif name in expected:
            roster.remove(name, name)
        elif there:
            roster.add(name, name, details)
        expected.pop(name, None)
        if name in roster.page(MANY).users:
            expected[name] = details
        first = sorted(expected)[:2]
        assert roster.page(2).users == {
            name: [{"client": name} | ({"details": expected[name]} if expected[name] else {})]
            for name in first
        }
        assert roster.page(2).more == (len(expected) > 2)
