"""`rooms.core.filters`: the tree finds what a look at every filter would find."""

from __future__ import annotations

import gc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.core.filters import FilterCounts, FilterTree
from rooms.protocol.topics import Filter
from tests.protocol.test_topics import DIFFERS, LEVELS, MATCHES, WILD, filters_of, rooms_of

rooms = st.lists(st.sampled_from([*LEVELS, "$"]), min_size=1, max_size=5).map("/".join)


@st.composite
def filters(draw: st.DrawFn) -> Filter:
    """A valid filter of few different levels, so that many name the same rooms."""
    levels = draw(st.lists(st.sampled_from(WILD), min_size=1, max_size=5))
    return Filter("/".join([*levels, "#"] if draw(st.booleans()) else levels) or "/")


def tree_of(texts: list[str]) -> FilterTree[str]:
    tree: FilterTree[str] = FilterTree()
    for text in texts:
        tree.set(Filter(text), text)
    return tree


@pytest.mark.parametrize(("text", "room"), sorted(MATCHES | DIFFERS))
def test_a_tree_of_one_filter_finds_what_the_standard_says(text: str, room: str) -> None:
    assert list(tree_of([text]).match(room)) == [text] * ((text, room) in MATCHES)


def test_every_small_filter_is_found_in_a_tree_of_all_of_them() -> None:
    texts = filters_of(2)
    tree = tree_of(texts)
    assert tree.size == len(set(texts))
    for room in rooms_of(3):
        named = {text for text in texts if Filter(text).matches(room)}
        found = list(tree.match(room))
        assert (set(found), len(found)) == (named, len(named))


@given(st.lists(filters(), max_size=20), st.lists(filters(), max_size=20), rooms)
def test_the_tree_agrees_with_every_filter_that_is_left(
    added: list[Filter], removed: list[Filter], room: str
) -> None:
    tree: FilterTree[str] = FilterTree()
    left: dict[str, Filter] = {}
    for each in added:
        tree.set(each, each.text)
        left[each.text] = each
    for each in removed:
        tree.remove(each)
        left.pop(each.text, None)
    assert tree.size == len(left)
    assert sorted(tree.match(room)) == sorted(t for t, each in left.items() if each.matches(room))
    assert all(tree.get(each) == left.get(each.text, Filter("x")).text for each in left.values())
    assert all(tree.get(each) is None for each in removed)


def levels_alive() -> int:
    """Return how many levels of trees there are in memory."""
    return sum(type(each).__name__ == "_Node" for each in gc.get_objects())


def test_a_tree_from_which_all_was_removed_holds_on_to_nothing() -> None:
    gc.collect()
    before, tree = levels_alive(), tree_of([])
    for text in filters_of(2):
        tree.set(Filter(text), text)
    assert levels_alive() > before + 10
    for text in sorted(filters_of(2)):
        tree.remove(Filter(text))
    assert (tree.size, levels_alive()) == (0, before + 1)


def test_what_was_set_last_for_a_filter_holds() -> None:
    tree = tree_of(["a/+"])
    tree.set(Filter("a/+"), "new")
    assert (tree.size, list(tree.match("a/b"))) == (1, ["new"])


def test_a_level_of_other_filters_is_no_filter() -> None:
    tree = tree_of(["a/b/c"])
    assert tree.get(Filter("a/b")) is None
    tree.remove(Filter("a/b"))
    tree.remove(Filter("x/y"))
    assert list(tree.match("a/b")) == []
    assert list(tree.match("a/b/c")) == ["a/b/c"]


def test_a_room_with_wildcards_in_its_name_is_found_once_by_each() -> None:
    tree = tree_of(["+", "#", "a/+", "a/#"])
    assert sorted(tree.match("+")) == ["#", "+"]
    assert sorted(tree.match("#")) == ["#", "+"]
    assert sorted(tree.match("a/#")) == ["#", "a/#", "a/+"]


steps = st.lists(st.tuples(st.booleans(), filters()), max_size=30)


@given(steps, rooms)
def test_a_filter_counts_until_it_was_removed_as_often_as_it_was_added(
    steps: list[tuple[bool, Filter]], room: str
) -> None:
    counts, model = FilterCounts(), Counter[str]()
    for add, each in steps:
        if add:
            counts.add(each)
            model[each.text] += 1
        else:
            counts.remove(each)
            model[each.text] = max(0, model[each.text] - 1)
    left = +model
    assert bool(counts) is bool(left)
    assert counts.match(room) is any(Filter(text).matches(room) for text in left)
