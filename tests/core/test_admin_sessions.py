"""`rooms.core.admin_sessions`: who is signed in, for how long."""

from __future__ import annotations

from rooms.core.admin_sessions import SESSIONS, AdminSession, AdminSessions
from rooms.core.admin_tokens import new_token

TOKEN = new_token("deploy", "full", "one")


def test_a_session_lasts_until_it_expires() -> None:
    sessions = AdminSessions()
    sessions.open("id", TOKEN, 100.0)
    assert sessions.find("id", 99.9) == AdminSession(TOKEN, 100.0)
    assert sessions.find("other", 0.0) is None
    assert sessions.find("id", 100.0) is None
    assert len(sessions) == 0


def test_a_session_lasts_until_it_is_closed() -> None:
    sessions = AdminSessions()
    sessions.open("id", TOKEN, 100.0)
    sessions.close("other")
    assert sessions.find("id", 0.0) is not None
    sessions.close("id")
    assert sessions.find("id", 0.0) is None


def test_no_more_sessions_are_kept_than_that() -> None:
    sessions = AdminSessions()
    for number in range(SESSIONS + 1):
        sessions.open(f"id {number}", TOKEN, 100.0)
    assert len(sessions) == SESSIONS
    assert sessions.find("id 0", 0.0) is None
    assert sessions.find("id 1", 0.0) is not None


def test_what_is_kept_is_not_the_id() -> None:
    sessions = AdminSessions()
    sessions.open("id", TOKEN, 100.0)
    assert "'id'" not in repr(vars(sessions))
