"""`rooms.brokers.keys`: which publications have been made already."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rooms.brokers.base import KEY_SECONDS
from rooms.brokers.keys import Keys
from rooms.protocol.commands import Position


def at(offset: int) -> Position:
    return Position("e1", offset)


def test_a_key_is_found_in_its_room_only() -> None:
    keys = Keys()
    keys.remember("a", "k", at(1), 0)
    assert keys.find("a", "k", 1) == at(1)
    assert keys.find("b", "k", 1) is None
    assert keys.find("a", "other", 1) is None


def test_the_first_position_of_a_room_is_found_too() -> None:
    keys = Keys()
    keys.remember("a", "k", Position("", 0), 0)
    assert keys.find("a", "k", 1) == Position("", 0)


def test_a_key_is_forgotten_after_five_minutes() -> None:
    keys = Keys()
    keys.remember("a", "k", at(1), 10)
    assert keys.find("a", "k", 10 + KEY_SECONDS - 0.001) == at(1)
    assert keys.find("a", "k", 10 + KEY_SECONDS) is None
    assert len(keys) == 1
    keys.forget(10 + KEY_SECONDS)
    assert len(keys) == 0


def test_a_key_that_is_used_anew_lives_for_another_five_minutes() -> None:
    keys = Keys()
    keys.remember("a", "k", at(1), 0)
    keys.remember("a", "other", at(2), 100)
    keys.remember("a", "k", at(3), KEY_SECONDS)
    keys.forget(KEY_SECONDS + 100)
    assert keys.find("a", "k", KEY_SECONDS + 100) == at(3)
    assert len(keys) == 1


def test_there_are_never_more_than_the_limit_and_the_oldest_go_first() -> None:
    keys = Keys(limit=3)
    for number in range(10):
        keys.remember("a", str(number), at(number), number)
        assert len(keys) <= 3
    assert [n for n in range(10) if keys.find("a", str(n), 10)] == [7, 8, 9]


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("kl"), st.sampled_from([0.0, 100.0, 250]))
    )
)
def test_they_are_a_dictionary_from_which_time_removes(uses: list[tuple[str, str, float]]) -> None:
    keys, model, now = Keys(), dict[tuple[str, str], tuple[float, Position]](), 0.0
    for number, (room, key, pause) in enumerate(uses):
        now += pause
        known = model.get((room, key))
        expected = known[1] if known and now - known[0] < KEY_SECONDS else None
        assert keys.find(room, key, now) == expected
        if expected is None:
            keys.remember(room, key, at(number), now)
            model[room, key] = (now, at(number))


def test_nobody_can_have_the_keys_of_others_forgotten() -> None:
    keys = Keys(limit=100, each=3)
    keys.remember("a", "ana\nk", at(1), 0)
    for number in range(50):
        keys.remember("a", f"eve\n{number}", at(number), 1)
    assert keys.find("a", "ana\nk", 2) == at(1)
    assert [keys.find("a", f"eve\n{number}", 2) for number in (46, 47)] == [None, at(47)]
    assert len(keys) == 4


def test_to_forget_many_takes_no_longer_for_each() -> None:
    keys = Keys(limit=200_000, each=200_000)
    for number in range(50_000):
        keys.remember("a", str(number), at(number), 0)
    keys.forget(KEY_SECONDS)  # with a plain dict this takes seconds
    assert len(keys) == 0
    assert not keys._of
