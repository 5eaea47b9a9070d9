"""`rooms.core.presence`: users, each with their connections."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.core.presence import Roster

MANY = 1000


def test_a_user_joins_with_the_first_connection_only() -> None:
    roster = Roster()
    roster.add("ana", "c1")
    assert roster.take_changes(MANY) == ({"ana": [{"client": "c1"}]}, {})
    roster.add("ana", "c2")
    assert not roster.changed
    assert len(roster) == 1
    assert roster.page(MANY) == {"ana": [{"client": "c1"}, {"client": "c2"}]}


def test_a_user_leaves_with_the_last_connection_only() -> None:
    roster = Roster()
    roster.add("ana", "c1")
    roster.add("ana", "c2")
    roster.take_changes(MANY)
    roster.remove("ana", "c1")
    assert not roster.changed
    roster.remove("ana", "c2")
    assert roster.take_changes(MANY) == ({}, {"ana": [{"client": "c2"}]})
    assert len(roster) == 0


def test_who_joins_is_told_with_all_connections_of_that_moment() -> None:
    roster = Roster()
    roster.add("ana", "c1")
    roster.add("ana", "c2")
    assert roster.take_changes(MANY) == ({"ana": [{"client": "c1"}, {"client": "c2"}]}, {})


def test_changes_that_undo_each_other_are_not_told() -> None:
    roster = Roster()
    roster.add("ana", "c1")
    roster.remove("ana", "c1")
    assert not roster.changed
    roster.add("bob", "c2")
    roster.take_changes(MANY)
    roster.remove("bob", "c2")
    roster.add("bob", "c3")
    assert not roster.changed
    assert roster.page(MANY) == {"bob": [{"client": "c3"}]}


def test_changes_are_told_once() -> None:
    roster = Roster()
    roster.add("ana", "c1")
    assert roster.changed
    roster.take_changes(MANY)
    assert not roster.changed
    assert roster.take_changes(MANY) == ({}, {})


def test_lists_are_capped_and_the_count_is_exact() -> None:
    roster = Roster()
    for number in range(10):
        roster.add(f"u{number}", f"c{number}")
    assert list(roster.page(3)) == ["u0", "u1", "u2"]
    joined, left = roster.take_changes(3)
    assert (list(joined), left) == (["u0", "u1", "u2"], {})
    assert len(roster) == 10
    assert not roster.changed
    for number in range(10):
        roster.remove(f"u{number}", f"c{number}")
    assert list(roster.take_changes(3)[1]) == ["u0", "u1", "u2"]


def test_to_remove_who_is_not_there_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError):
        Roster().remove("ana", "c1")


steps = st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 3)) | st.none(), max_size=40)


@given(steps)
def test_who_follows_the_changes_knows_who_is_there(
    steps: list[tuple[str, int] | None],
) -> None:
    """Each step is a connection that comes or goes, or None: the changes are told."""
    roster, here, followed = Roster(), dict[tuple[str, int], None](), set[str]()
    for step in [*steps, None]:
        if step is None:
            joined, left = roster.take_changes(MANY)
            assert followed.isdisjoint(joined)
            assert followed.issuperset(left)
            assert all(entry for entry in (*joined.values(), *left.values()))
            followed = (followed | set(joined)) - set(left)
            assert followed == {user for user, _ in here}
        elif step in here:
            del here[step]
            roster.remove(step[0], f"c{step[1]}")
        else:
            here[step] = None
            roster.add(step[0], f"c{step[1]}")
        users = {user for user, _ in here}
        assert len(roster) == len(users)
        assert roster.page(MANY) == {
            user: [{"client": f"c{number}"} for name, number in here if name == user]
            for user in users
        }
