"""`rooms.core.claims`: what a token whose signature is valid may say."""

from __future__ import annotations

from typing import Any

import pytest

from rooms.core.claims import Rules, identify
from rooms.core.identity import Identity
from rooms.errors import InvalidToken
from rooms.protocol.commands import User

NOW = 1_000_000.0
GOOD = {"sub": "u17", "exp": NOW + 60}
PLAIN = Rules()
OURS = Rules(audiences=frozenset({"chat", "rooms"}), issuers=frozenset({"https://id.example"}))


def taken(rules: Rules = PLAIN, /, **claims: Any) -> Identity:
    return identify(GOOD | claims, rules, NOW)


def refused(rules: Rules = PLAIN, /, **claims: Any) -> InvalidToken:
    with pytest.raises(InvalidToken) as caught:
        taken(rules, **claims)
    assert caught.value.status == 401
    return caught.value


def test_a_token_names_a_user_with_rights_for_a_time() -> None:
    identity = taken(name="Ana", jti="t1", rooms={"team/+": ["join"]}, role="admin")
    assert identity.user == User("u17", "Ana")
    assert identity.token_id == "t1"
    assert identity.grants is not None
    assert identity.grants.allow("join", "team/1")
    assert not identity.grants.allow("publish", "team/1")
    assert identity.claims["role"] == "admin"


def test_a_token_holds_as_long_as_it_is_taken() -> None:
    assert taken().expires_at == NOW + 70
    with pytest.raises(InvalidToken):
        identify(GOOD, Rules(), NOW + 70)


def test_who_has_no_name_is_called_by_the_id_and_has_no_grants() -> None:
    identity = taken()
    assert (identity.user, identity.token_id) == (User("u17", "u17"), "")
    assert identity.grants is None


def test_no_rooms_at_all_is_something_else_than_no_word_of_rooms() -> None:
    grants = taken(rooms={}).grants
    assert grants is not None
    assert not grants.allow("join", "lobby")


# Times.


@pytest.mark.parametrize("seconds", [-9.5, 0, 3600])
def test_a_clock_may_be_off_by_the_leeway(seconds: float) -> None:
    assert taken(exp=NOW + seconds).user.id == "u17"
    assert taken(nbf=NOW - seconds, iat=NOW - seconds).user.id == "u17"


def test_an_expired_token_is_refused() -> None:
    error = refused(exp=NOW - 10)
    assert (error.reason, error.detail) == ("The token has expired.", "exp was 10 s ago")
    assert refused(Rules(leeway=0), exp=NOW).reason == "The token has expired."


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_of_the_future_is_refused(claim: str) -> None:
    error = refused(**{claim: NOW + 11})
    assert error.reason == "The token is not valid yet."
    assert error.detail == f"{claim} is 11 s from now"


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ["1000060", True, [], float("nan"), float("inf"), 10**400])
def test_a_time_is_a_number_of_seconds(claim: str, value: object) -> None:
    assert refused(**{claim: value}).detail == f"{claim} is no number of seconds since 1970"


def test_a_token_that_never_expires_is_taken_only_where_that_is_said() -> None:
    assert refused(exp=None).detail == "the token lacks exp"
    assert taken(Rules(required=frozenset()), exp=None).expires_at is None


# From whom, and for whom.


@pytest.mark.parametrize("audience", ["chat", ["else", "rooms"]])
def test_a_token_for_this_server_is_taken(audience: object) -> None:
    assert taken(OURS, aud=audience, iss="https://id.example").user.id == "u17"


@pytest.mark.parametrize("audience", ["else", ["else"], "CHAT", [["chat"]], {"chat": 1}, 5])
def test_a_token_for_another_server_is_refused(audience: object) -> None:
    error = refused(OURS, aud=audience, iss="https://id.example")
    assert error.reason == "The token is not for this server."
    assert repr(audience) in error.detail


@pytest.mark.parametrize("audience", [None, []])
def test_a_token_for_nobody_is_refused_where_it_must_be_for_this_server(audience: object) -> None:
    assert "the token is for" in refused(OURS, aud=audience, iss="https://id.example").detail


def test_a_token_for_somebody_is_refused_by_a_server_without_a_name() -> None:
    assert refused(aud="chat").detail == (
        "the token is for 'chat'; name it as the audience if that is this server"
    )


@pytest.mark.parametrize("issuer", [None, "https://evil.example", ["https://id.example"], 5])
def test_a_token_of_another_issuer_is_refused(issuer: object) -> None:
    error = refused(OURS, aud="chat", iss=issuer)
    assert error.reason == "The token is not for this server."
    assert error.detail.startswith("the token is from ")


# Everything else that it says.


def test_a_token_must_say_what_is_required() -> None:
    rules = Rules(required=frozenset({"exp", "role", "team"}))
    assert refused(rules, role="x").detail == "the token lacks team"
    assert refused(rules, sub=None).detail == "the token lacks role, sub, team"
    assert taken(rules, role="x", team=0).user.id == "u17"


@pytest.mark.parametrize(
    "subject",
    ["", "c7", "C12", "$system", "__proto__", " ana", "a\nb", "e\u0301", "x" * 256, "\ud800"],
)
def test_a_subject_must_be_a_name_that_a_user_can_have(subject: str) -> None:
    assert refused(sub=subject).detail.startswith("sub: ")


@pytest.mark.parametrize("claim", ["sub", "name"])
def test_a_name_is_text(claim: str) -> None:
    assert refused(**{claim: 17}).detail == f"{claim} is no text"


def test_a_display_name_is_composed_and_checked() -> None:
    assert taken(name="Jose\u0301").user.name == "Jos\u00e9"
    assert refused(name="line\r\nbreak").detail.startswith("name: ")


@pytest.mark.parametrize("identifier", [5, None, "x" * 256, "a\nb", "\ud800"])
def test_the_id_of_a_token_is_short_text(identifier: object) -> None:
    assert refused(jti=identifier).detail.startswith("jti must be printable text")


@pytest.mark.parametrize("rooms", [None, ["team/1"], {"team/1": "join"}, {"a#b": []}, {"a": ["x"]}])
def test_rooms_that_are_not_spelled_right_refuse_the_token(rooms: object) -> None:
    error = refused(rooms=rooms)
    assert error.reason == "The token says something that makes no sense here."
    assert error.detail.startswith("rooms: ")


def test_what_the_log_is_told_is_short_and_one_line() -> None:
    for error in (refused(OURS, iss="x\r\n" * 999), refused(rooms={"\n" * 999: 1})):
        assert len(error.detail) < 250
        assert error.detail.isprintable()
