"""`rooms.server.admin_settings`: tokens from settings and files."""

from __future__ import annotations

from pathlib import Path

import pytest

from rooms.config import Settings
from rooms.core.admin_tokens import new_token
from rooms.errors import ConfigError
from rooms.server.admin_settings import admin_tokens, has_admin_tokens, with_admin_tokens

DEPLOY, PROBE = new_token("deploy", "full", "one"), new_token("probe", "read", "two")


def test_a_file_holds_one_token_a_line(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# who may\n\n{DEPLOY.line}\n  {PROBE.line}\n")
    tokens = admin_tokens(with_admin_tokens(Settings(admin_tokens_file=str(file))))
    assert [tokens.find(secret) for secret in (b"one", b"two")] == [DEPLOY, PROBE]


def test_where_tokens_are_listed_none_is_made() -> None:
    settings = with_admin_tokens(Settings(admin_tokens=(DEPLOY.line,)), default="made before")
    assert settings.admin_token == ""
    assert has_admin_tokens(settings)


def test_where_there_is_none_one_is_made_that_nobody_can_guess() -> None:
    made = {with_admin_tokens(Settings()).admin_token for _ in range(3)}
    assert len(made) == 3
    assert all(len(token) >= 32 for token in made)
    assert not has_admin_tokens(Settings())


def test_the_plain_token_holds_beside_the_others() -> None:
    tokens = admin_tokens(Settings(admin_token="three", admin_tokens=(PROBE.line,)))
    found = tokens.find(b"three")
    assert found is not None
    assert (found.name, found.role) == ("admin_token", "full")
    assert tokens.find(b"two") == PROBE


def test_a_mistake_stops_the_start_without_showing_what_may_be_a_token(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="admin_tokens: an entry") as caught:
        with_admin_tokens(Settings(admin_tokens=("s3cret",)))
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read from"):
        with_admin_tokens(Settings(admin_tokens_file=str(tmp_path / "nowhere")))


def test_the_tokens_are_not_shown_with_the_settings() -> None:
    assert DEPLOY.digest.hex() not in repr(Settings(admin_tokens=(DEPLOY.line,)))
