"""`rooms.server.cookies`: sign-in by the session that a Quart application has signed."""

from __future__ import annotations

import time

import pytest
import trio
from itsdangerous import URLSafeTimedSerializer
from quart import Quart
from quart.sessions import SecureCookieSessionInterface
from trio.testing import MockClock

from rooms import App, Credentials, Identity, Refused, SignedCookie
from rooms.config import Settings
from rooms.errors import TokenExpired
from rooms.testing import in_memory
from tests.server.signing import end_of, knock

SECRET = "not to be guessed"


def cookie(secret: str = SECRET, **session: object) -> str:
    """Return what a Quart application with that secret makes of a session."""
    site = Quart(__name__)
    site.secret_key = secret
    serializer = SecureCookieSessionInterface().get_signing_serializer(site)
    assert isinstance(serializer, URLSafeTimedSerializer)
    return str(serializer.dumps(session))


async def identity_of(session: str, auth: SignedCookie | None = None) -> Identity | None:
    auth = auth or SignedCookie(SECRET)
    return await auth.authenticate(Credentials("/ws", cookies={"session": session}))


async def test_a_session_of_a_quart_app_names_its_user() -> None:
    found = await identity_of(cookie(user_id=17, cart=[1, 2]))
    assert found is not None
    assert (found.user.id, found.user.name) == ("17", "17")
    assert found.claims["iat"] == pytest.approx(time.time(), abs=5)


async def test_the_session_may_hold_a_name_and_other_keys() -> None:
    auth = SignedCookie(SECRET, key="_id", name_key="nick")
    found = await identity_of(cookie(_id="u1", nick="Ana"), auth)
    assert found is not None
    assert (found.user.id, found.user.name) == ("u1", "Ana")


async def test_a_name_that_the_session_leaves_open_is_the_id() -> None:
    found = await identity_of(
        cookie(user_id="u1", nick=None), SignedCookie(SECRET, name_key="nick")
    )
    assert found is not None
    assert found.user.name == "u1"


@pytest.mark.parametrize(
    "session",
    ["", cookie(), cookie(user_id=None), cookie(user_id=""), cookie(user_id=False)],
    ids=["no", "empty", "null", "blank", "false"],
)
async def test_a_session_without_a_user_does_not_concern_it(session: str) -> None:
    assert await identity_of(session) is None


@pytest.mark.parametrize(
    "session",
    ["x", "a.b.c", cookie("another", user_id=1), cookie(user_id=1)[:-1]],
    ids=["word", "dots", "another's", "cut"],
)
async def test_a_session_that_is_not_signed_is_refused(session: str) -> None:
    with pytest.raises(Refused):
        await identity_of(session)


async def test_a_session_that_is_too_old_is_refused() -> None:
    with pytest.raises(Refused):
        await identity_of(cookie(user_id=1), SignedCookie(SECRET, max_age=-1))


async def test_a_connection_ends_when_its_session_is_too_old(autojump_clock: MockClock) -> None:
    app = App(auth=SignedCookie(SECRET, max_age=60))
    async with in_memory(app, Settings(ping_seconds=3600)) as server:
        client = await server.connect(headers=f"Cookie: session={cookie(user_id=1)}\r\n")
        before = trio.current_time()
        assert (await end_of(client))[0] == TokenExpired.close_code
        assert trio.current_time() - before == pytest.approx(60, abs=3)


async def test_an_older_secret_may_still_have_signed() -> None:
    assert await identity_of(cookie("old", user_id=1), SignedCookie(["old", SECRET])) is not None


@pytest.mark.parametrize("secret", ["", []])
def test_without_a_secret_there_is_none(secret: str | list[str]) -> None:
    with pytest.raises(ValueError, match="empty"):
        SignedCookie(secret)


async def test_a_browser_with_the_cookie_is_signed_in_at_once() -> None:
    app = App(auth=SignedCookie(SECRET))
    async with in_memory(app) as server:
        client = await knock(server, f"Cookie: a=b; session={cookie(user_id=1)}\r\n")
        assert (await client.receive())["user"]["id"] == "1"
