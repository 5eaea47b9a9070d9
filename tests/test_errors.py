"""`rooms.errors`: every error has its answer on the wire."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeVar

import pytest

from rooms import errors
from rooms.errors import (
    Disconnect,
    Forced,
    HandlerFailed,
    InvalidText,
    Lost,
    MessageTooBig,
    NormalClosure,
    NotMember,
    ProtocolViolation,
    Refused,
    RequestError,
    RoomsError,
    ShuttingDown,
    Unrecoverable,
    check_close_code,
    may_reconnect,
)

FROM_THE_RFC = {1000, 1002, 1006, 1007, 1009, 1011}


E = TypeVar("E", bound=RoomsError)


def family(kind: type[E]) -> Iterator[type[E]]:
    """All classes of this module below ``kind``."""
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, kind) and value is not kind:
            yield value


REQUEST_ERRORS = list(family(RequestError))
ALL_DISCONNECTS: list[type[Disconnect]] = [Disconnect, *family(Disconnect)]


# Errors that answer one command.


def test_no_two_request_errors_share_a_code() -> None:
    codes = [kind.code for kind in REQUEST_ERRORS]
    assert len(codes) == len(set(codes))
    assert RequestError.code not in codes


@pytest.mark.parametrize("kind", REQUEST_ERRORS)
def test_a_code_is_one_word_in_small_letters(kind: type[RequestError]) -> None:
    assert re.fullmatch("[a-z_]+", kind.code)


@pytest.mark.parametrize("kind", [kind for kind in REQUEST_ERRORS if kind is not Unrecoverable])
def test_an_error_without_a_message_says_what_its_class_says(kind: type[RequestError]) -> None:
    error = kind()
    assert error.message == str(error) == (kind.__doc__ or "").splitlines()[0]
    assert error.message.endswith(".")
    assert error.id is None


def test_a_message_says_what_happened() -> None:
    assert NotMember("Join 'lobby' first.").message == "Join 'lobby' first."


# Refusals.


def test_a_refusal_is_safe_to_show_and_tells_the_log_more() -> None:
    refused = Refused("The token has expired.", detail="expired 12 s ago")
    assert (refused.reason, refused.status, refused.detail) == (
        "The token has expired.",
        401,
        "expired 12 s ago",
    )
    assert str(refused) == "The token has expired."
    assert Refused("Not you.", 403).detail == "Not you."


# Errors that end the connection.


def test_no_two_disconnects_share_a_close_code() -> None:
    codes = [kind.close_code for kind in ALL_DISCONNECTS]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", ALL_DISCONNECTS)
def test_a_close_code_is_the_rfcs_or_from_the_range_for_libraries(kind: type[Disconnect]) -> None:
    code = kind.close_code
    assert code in FROM_THE_RFC or 3000 <= code <= 3999
    if kind is not Lost:
        assert check_close_code(code) == code


@pytest.mark.parametrize("kind", ALL_DISCONNECTS)
def test_a_disconnect_has_a_code_and_a_reason_that_fits(kind: type[Disconnect]) -> None:
    error = kind()
    assert (error.code, error.reason) == (kind.close_code, kind.default_reason)
    assert len(error.reason.encode()) <= 123
    assert str(error) == f"{error.code} {error.reason}".rstrip()


def test_an_application_may_bring_its_own_code_and_reason() -> None:
    error = Forced("go away", 4500)
    assert (error.code, error.reason, str(error)) == (4500, "go away", "4500 go away")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, -1])
def test_a_code_that_must_not_be_sent_is_refused_at_once(code: int) -> None:
    with pytest.raises(ValueError, match="use 1000 or 3000-4999"):
        Forced("", code)


@pytest.mark.parametrize("code", [0, 1001, 1005, 1006, 1015, 3000, 4999])
def test_what_a_peer_said_is_kept_whatever_it_is(code: int) -> None:
    error = Disconnect.received(code, "because")
    assert (error.code, error.reason, str(error)) == (code, "because", f"{code} because")


def test_a_peer_that_gives_no_reason_gets_one() -> None:
    assert Disconnect.received(1001, "").reason == "closed by the client"


# What a client does next.


@pytest.mark.parametrize(
    ("code", "comes_back"),
    [
        (1000, True),
        (1001, True),
        (1002, False),
        (1003, False),
        (1006, True),
        (1007, False),
        (1009, False),
        (1011, True),
        (1012, True),
        (3000, True),
        (3013, True),
        (3499, True),
        (3500, False),
        (3504, False),
        (3999, False),
        (4000, True),
        (4499, True),
        (4500, False),
        (4999, False),
    ],
)
def test_the_code_alone_says_whether_to_come_back(code: int, comes_back: bool) -> None:
    assert may_reconnect(code) is comes_back


def test_the_servers_reasons_invite_or_forbid_as_they_should() -> None:
    inviting = {ShuttingDown, Lost, HandlerFailed, NormalClosure}
    forbidding = {ProtocolViolation, InvalidText, MessageTooBig, Forced}
    assert all(may_reconnect(kind.close_code) for kind in inviting)
    assert not any(may_reconnect(kind.close_code) for kind in forbidding)
