"""No secret of a URL is shown."""

from __future__ import annotations

import pytest

from rooms.protocol.urls import hide_password, hide_secrets


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://ana:hush@host:6379/0", "redis://ana:…@host:6379/0"),
        ("redis://:hush@host", "redis://:…@host"),
        ("redis://hush@host", "redis://…@host"),
        ("redis://ana:hu:s@h/@host", "redis://ana:…@host"),
        ("unix://hush@/run/valkey.sock", "unix://…@/run/valkey.sock"),
        ("redis+cluster://hush@a:1,b:2", "redis+cluster://…@a:1,b:2"),
    ],
)
def test_a_password_is_hidden_with_a_user_and_without(url: str, shown: str) -> None:
    assert hide_password(url) == shown


@pytest.mark.parametrize("url", ["memory://", "redis://host:6379/0", "sqlite:///a@b.db"])
def test_a_url_without_one_is_shown_as_it_is(url: str) -> None:
    assert hide_password(url) == url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ws://host/path", "ws://host/path"),
        ("ws://host/path?token=hush", "ws://host/path?…"),
        ("ws://ana:hush@host/?token=hush?#hush", "ws://ana:…@host/?…"),
    ],
)
def test_a_query_may_hold_a_token(url: str, shown: str) -> None:
    assert hide_secrets(url) == shown
