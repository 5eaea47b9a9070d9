"""`rooms.protocol.topics`: the rules of MQTT 5, section 4.7."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.errors import InvalidFilter
from rooms.protocol.topics import Filter, parse_filter

# Section by section, as the standard has them.
MATCHES = {
    # 4.7.1.2, the multi-level wildcard
    ("sport/tennis/player1/#", "sport/tennis/player1"),
    ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
    ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
    ("sport/#", "sport"),
    ("#", "sport/tennis/player1"),
    ("#", "/"),
    ("sport/tennis/#", "sport/tennis/player1"),
    # 4.7.1.3, the single-level wildcard
    ("sport/tennis/+", "sport/tennis/player1"),
    ("sport/tennis/+", "sport/tennis/player2"),
    ("sport/+", "sport/"),
    ("+", "sport"),
    ("+/tennis/#", "sport/tennis"),
    ("+/tennis/#", "sport/tennis/player1"),
    ("sport/+/player1", "sport/tennis/player1"),
    ("+/+", "/finance"),
    ("/+", "/finance"),
    # 4.7.2, names that begin with $
    ("$SYS/#", "$SYS/monitor/Clients"),
    ("$SYS/monitor/+", "$SYS/monitor/Clients"),
    # 4.7.3, names differ by case, by spaces and by a leading or trailing /
    ("ACCOUNTS", "ACCOUNTS"),
    ("Accounts payable", "Accounts payable"),
    ("/finance", "/finance"),
    ("a//b", "a//b"),
    ("a/+/b", "a//b"),
}
DIFFERS = {
    ("sport/tennis/+", "sport/tennis/player1/ranking"),
    ("sport/tennis/+", "sport/tennis"),
    ("sport/+", "sport"),
    ("sport/#", "sports"),
    ("+", "/finance"),
    ("#", "$SYS/monitor/Clients"),
    ("+/monitor/Clients", "$SYS/monitor/Clients"),
    ("+", "$SYS"),
    ("ACCOUNTS", "Accounts"),
    ("/finance", "finance"),
    ("finance", "finance/"),
    ("sport/tennis", "sport"),
    ("sport", "sport/tennis"),
}


@pytest.mark.parametrize(("text", "room"), sorted(MATCHES))
def test_a_filter_matches_as_the_standard_says(text: str, room: str) -> None:
    assert Filter(text).matches(room)


@pytest.mark.parametrize(("text", "room"), sorted(DIFFERS))
def test_a_filter_does_not_match_where_the_standard_says_no(text: str, room: str) -> None:
    assert not Filter(text).matches(room)


@pytest.mark.parametrize("text", ["#", "+", "/", "a", "a/+/b/#", "+/+/+", "x" * 255, "čaj/+"])
def test_a_valid_filter_is_taken(text: str) -> None:
    assert Filter(text).text == text
    assert repr(Filter(text)) == f"Filter({text!r})"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("sport/tennis#", "fill its whole level"),
        ("sport/tennis/#/ranking", "must be the last level"),
        ("#/a", "must be the last level"),
        ("sport+", "fill its whole level"),
        ("sport/+a/b", "fill its whole level"),
        ("##", "fill its whole level"),
        ("++", "fill its whole level"),
        ("", "1 to 255 bytes"),
        ("x" * 256, "1 to 255 bytes"),
        ("é" * 128, "1 to 255 bytes"),
        ("a\0b", "printable"),
        ("a\ud800", "printable"),
        ("\ufb01sh/#", "write 'fish/#'"),
    ],
)
def test_an_invalid_filter_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(InvalidFilter, match=complaint):
        Filter(text)


def test_a_filter_is_parsed_once() -> None:
    assert parse_filter("chat/+") is parse_filter("chat/+")


# Against a reference that is slow and plain.

LEVELS = ["", "a", "b", "$a"]
WILD = [*LEVELS, "+"]


def reference(text: str, room: str) -> bool:
    """Whether a filter matches, by a regular expression."""
    if text[:1] in ("+", "#") and room.startswith("$"):
        return False
    pattern = re.escape(text).replace(r"\+", "[^/]*")
    pattern = pattern.replace(r"/\#", "(/.*)?").replace(r"\#", ".*")
    return re.fullmatch(pattern, room) is not None


def rooms_of(depth: int) -> list[str]:
    shapes = (product(LEVELS, repeat=size) for size in range(1, depth + 1))
    return [name for shape in shapes for name in map("/".join, shape)]


def filters_of(depth: int) -> list[str]:
    shapes = [list(product(WILD, repeat=size)) for size in range(depth + 1)]
    plain = [text for shape in shapes[1:] for text in map("/".join, shape) if text]
    return plain + ["/".join((*levels, "#")) for shape in shapes[:depth] for levels in shape]


segments = st.sampled_from(WILD)


@given(st.lists(segments, min_size=1), st.booleans(), st.lists(st.sampled_from(LEVELS), min_size=1))
def test_matching_agrees_with_a_regular_expression(
    levels: list[str], rest: bool, names: list[str]
) -> None:
    text, room = "/".join([*levels, "#"] if rest else levels), "/".join(names)
    if text and room:
        assert Filter(text).matches(room) is reference(text, room)


def test_matching_agrees_with_a_regular_expression_on_every_small_filter() -> None:
    rooms = rooms_of(3)
    for text in filters_of(2):
        assert [r for r in rooms if Filter(text).matches(r)] == [
            r for r in rooms if reference(text, r)
        ]


def test_two_filters_overlap_if_and_only_if_some_room_is_named_by_both() -> None:
    rooms, filters = rooms_of(3), [Filter(text) for text in filters_of(2)]
    named = [{room for room in rooms if f.matches(room)} for f in filters]
    for mine, my_rooms in zip(filters, named, strict=True):
        for other, other_rooms in zip(filters, named, strict=True):
            assert mine.overlaps(other) is bool(my_rooms & other_rooms), (mine, other)
