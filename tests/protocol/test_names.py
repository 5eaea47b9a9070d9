"""`rooms.protocol.names`: which names rooms, events and users may have."""

from __future__ import annotations

import contextlib
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.errors import InvalidName, ReservedName
from rooms.protocol.names import LIFECYCLE, NAME_BYTES, check_event, check_name, check_room, plain

CHECKS = [check_name, check_room, check_event]

GOOD = ["a", "lobby", "chat/42", "a//b", "/", "Žluťoučký kůň", "日本語", "🐎", "x" * 255, "é" * 127]
BAD = {
    "nothing": "",
    "256 bytes": "x" * 256,
    "128 characters of two bytes": "é" * 128,
    "a control character": "a\0b",
    "a line break": "a\nb",
    "a character that cannot be seen": "a\u200bb",
    "a change of direction": "a\u202eb",
    "half a surrogate pair": "a\ud800",
    "decomposed text": "e\u0301",
}
RESERVED = ["$SYS", "$", "__proto__", "constructor", "prototype"]


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("check", CHECKS)
def test_a_good_name_is_returned(check: type, name: str) -> None:
    assert check(name) == name


@pytest.mark.parametrize("name", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("check", CHECKS)
def test_a_bad_name_is_refused(check: type, name: str) -> None:
    with pytest.raises(InvalidName):
        check(name)


@pytest.mark.parametrize("name", RESERVED)
@pytest.mark.parametrize("check", CHECKS)
def test_a_name_that_belongs_to_the_server_is_refused(check: type, name: str) -> None:
    with pytest.raises(ReservedName, match="belongs to the server"):
        check(name)


@pytest.mark.parametrize("name", ["+", "#", "a/+", "a#", "news/#"])
def test_only_a_room_may_not_hold_a_wildcard(name: str) -> None:
    assert check_name(name) == check_event(name) == name
    with pytest.raises(InvalidName, match="wildcards"):
        check_room(name)


VARIANTS = {"\ufb01sh": "fish", "\uff21na": "Ana", "x\u00b2": "x2", "\u2160": "I", "\uff0b": "+"}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_room_or_event_may_not_look_like_another(name: str) -> None:
    for check in (check_room, check_event):
        with pytest.raises(InvalidName, match=re.escape(f"write {VARIANTS[name]!r}")):
            check(name)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_user_may_be_called_anything_that_has_a_plain_form(name: str) -> None:
    assert check_name(name) == name
    assert plain(name) == VARIANTS[name]


@given(st.text(max_size=20))
def test_of_rooms_that_differ_only_in_form_one_is_let_in(name: str) -> None:
    forms = {unicodedata.normalize(form, name) for form in ("NFC", "NFD", "NFKC", "NFKD")}
    assert sum(is_room(form) for form in forms) <= 1


def is_room(name: str) -> bool:
    """Whether a room may have that name."""
    with contextlib.suppress(InvalidName, ReservedName):
        return check_room(name) == name
    return False


@pytest.mark.parametrize("name", sorted(LIFECYCLE))
def test_only_an_event_may_not_be_one_that_the_server_fires(name: str) -> None:
    assert check_name(name) == check_room(name) == name
    with pytest.raises(ReservedName, match="fired by the server"):
        check_event(name)


def test_a_name_is_refused_every_time() -> None:
    for _ in range(2):
        with pytest.raises(InvalidName):
            check_room("a\0")


@given(st.text(max_size=100))
def test_whatever_is_let_in_is_short_visible_and_composed(name: str) -> None:
    try:
        check_name(name)
    except (InvalidName, ReservedName):
        return
    assert 1 <= len(name.encode()) <= NAME_BYTES
    assert name.isprintable()
    assert unicodedata.normalize("NFC", name) == name
