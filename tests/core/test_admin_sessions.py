"""`rooms.core.admin_sessions`: cookies of admins, and who can read them."""

from __future__ import annotations

import pytest

from rooms.core.admin_sessions import AdminSession, seal, unseal
from rooms.core.admin_tokens import AdminToken, AdminTokens, new_token

TOKEN = new_token("deploy", "full", "one")
TOKENS = AdminTokens([new_token("probe", "read", "two"), TOKEN])
SESSION = AdminSession("s1", TOKEN, 100.0)
COOKIE = seal(SESSION, "secret")


def test_a_session_lasts_until_it_expires() -> None:
    assert unseal(COOKIE, "secret", TOKENS, 99.9) == SESSION
    assert unseal(COOKIE, "secret", TOKENS, 100.0) is None


@pytest.mark.parametrize(
    "token",
    [
        new_token("other", "full", "one"),
        new_token("deploy", "read", "one"),
        new_token("deploy", "full", "another"),
    ],
    ids=["name", "role", "secret"],
)
def test_a_session_ends_with_its_token_as_it_was(token: AdminToken) -> None:
    assert unseal(COOKIE, "secret", AdminTokens([token]), 0.0) is None


def test_without_the_secret_nobody_makes_a_cookie() -> None:
    assert unseal(seal(SESSION, "guess"), "secret", TOKENS, 0.0) is None
    assert unseal(COOKIE, "guess", TOKENS, 0.0) is None


def test_nobody_else_is_named_by_a_signature_that_was_seen() -> None:
    body, _, signature = COOKIE.partition(".")
    longer, _, _ = seal(SESSION._replace(expires_at=200.0), "secret").partition(".")
    assert unseal(f"{longer}.{signature}", "secret", TOKENS, 0.0) is None
    assert unseal(f"{body}.{signature}", "secret", TOKENS, 0.0) == SESSION


@pytest.mark.parametrize(
    "cookie", ["", ".", "x", "x.y", COOKIE[:-2], COOKIE + "x", "é.é", "W10.W10", "[" * 9000]
)
def test_what_is_no_cookie_of_ours_is_none(cookie: str) -> None:
    assert unseal(cookie, "secret", TOKENS, 0.0) is None


def test_a_cookie_holds_nothing_of_the_token() -> None:
    assert TOKEN.digest.hex() not in COOKIE
