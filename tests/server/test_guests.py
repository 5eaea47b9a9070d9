"""`rooms.server.guests`: names for people without an account."""

from __future__ import annotations

import pytest

from rooms.errors import InvalidName, NameTaken, ReservedName
from rooms.protocol.commands import User
from rooms.server.guests import Guests


def test_a_name_belongs_to_the_first_who_takes_it() -> None:
    guests = Guests()
    assert guests.sign_in("Ana", "s1") == User("Ana", "Ana")
    with pytest.raises(NameTaken, match="choose another"):
        guests.sign_in("Ana", "s2")


@pytest.mark.parametrize("name", ["ana", "ANA", "aNa"])
def test_letters_case_makes_no_difference(name: str) -> None:
    guests = Guests()
    guests.sign_in("Ana", "s1")
    with pytest.raises(NameTaken):
        guests.sign_in(name, "s2")
    assert guests.sign_in(name, "s1") == User("Ana", "Ana")


@pytest.mark.parametrize("name", ["\uff21na", "\u00aana", "ANA"])
def test_names_that_look_alike_are_one_name(name: str) -> None:
    guests = Guests()
    user = guests.sign_in(name, "s1")
    with pytest.raises(NameTaken):
        guests.sign_in("Ana", "s2")
    guests.sign_out(user)
    assert guests.sign_in("Ana", "s2") == User("Ana", "Ana")


def test_the_same_secret_lets_somebody_in_again() -> None:
    guests = Guests()
    user = guests.sign_in("Ana", "s1")
    assert guests.sign_in("Ana", "s1") is user


def test_a_name_is_free_again_when_the_last_connection_is_gone() -> None:
    guests = Guests()
    user = guests.sign_in("Ana", "s1")
    guests.sign_in("Ana", "s1")
    guests.sign_out(user)
    with pytest.raises(NameTaken):
        guests.sign_in("Ana", "s2")
    guests.sign_out(user)
    assert guests.sign_in("ana", "s2") == User("ana", "ana")


def test_a_refused_sign_in_changes_nothing() -> None:
    guests = Guests()
    user = guests.sign_in("Ana", "s1")
    for _ in range(3):
        with pytest.raises(NameTaken):
            guests.sign_in("Ana", "s2")
    guests.sign_out(user)
    guests.sign_in("Ana", "s2")


@pytest.mark.parametrize("name", [" Ana", "Ana ", "", "a\nb", "x" * 256])
def test_a_name_that_nobody_may_have_is_refused(name: str) -> None:
    guests = Guests()
    with pytest.raises(InvalidName):
        guests.sign_in(name, "s")
    with pytest.raises(ReservedName):
        guests.sign_in("$ana", "s")


def test_a_secret_that_is_no_text_does_no_harm() -> None:
    guests = Guests()
    guests.sign_in("Ana", "\ud800")
    with pytest.raises(NameTaken):
        guests.sign_in("Ana", "?")
