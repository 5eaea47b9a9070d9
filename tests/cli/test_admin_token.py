"""``rooms admin-token``: a token, and the line that lets it in."""

from __future__ import annotations

from click.testing import CliRunner

from rooms.cli import main
from rooms.config import Settings
from rooms.server.admin_settings import admin_tokens


def test_the_line_lets_the_token_in() -> None:
    result = CliRunner().invoke(main, ["admin-token", "deploy", "--role", "full"])
    assert result.exit_code == 0
    shown, _, line = result.output.splitlines()
    token = admin_tokens(Settings(admin_tokens=(line,))).find(shown.split(": ")[1].encode())
    assert token is not None
    assert (token.name, token.role) == ("deploy", "full")
    assert shown.split(": ")[1] not in line


def test_a_token_may_only_read_unless_it_is_said() -> None:
    result = CliRunner().invoke(main, ["admin-token", "probe"])
    assert ":read:" in result.output.splitlines()[-1]


def test_a_name_that_would_not_fit_is_refused() -> None:
    result = CliRunner().invoke(main, ["admin-token", "a b"])
    assert result.exit_code == 2
    assert "not a token's name" in result.stderr
