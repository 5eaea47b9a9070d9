"""``rooms config``: which settings hold, and why."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from rooms.cli import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty, with no setting in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("ROOMS_PORT", "ROOMS_LOG_LEVEL", "ROOMS_ADMIN_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def printed(*arguments: str) -> str:
    """What the command prints."""
    result = CliRunner().invoke(main, ["config", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_each_setting_says_where_it_comes_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "rooms.toml").write_text('port = 1\nlog_level = "error"\nrooms_per_client = 3\n')
    monkeypatch.setenv("ROOMS_PORT", "2")
    monkeypatch.setenv("ROOMS_LOG_LEVEL", "warning")
    shown = json.loads(printed("--json", "--port", "3"))
    assert shown["port"] == {"value": 3, "source": "--port"}
    assert shown["log_level"] == {"value": "warning", "source": "ROOMS_LOG_LEVEL"}
    assert shown["rooms_per_client"] == {"value": 3, "source": "rooms.toml"}
    assert shown["host"] == {"value": "127.0.0.1", "source": "default"}


def test_a_table_is_for_people_and_can_leave_out_the_defaults(folder: Path) -> None:
    assert "host" in printed()
    assert printed("--changed", "--port", "3").split() == ["port", "3", "--port"]
    assert printed("--changed") == ""


def test_no_secret_is_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOMS_ADMIN_TOKEN", "sesame")
    monkeypatch.setenv("ROOMS_JWKS_URL", "https://keys.example/all?key=sesame")
    for output in (printed(), printed("--json")):
        assert "sesame" not in output
        assert "(hidden)" in output
        assert "https://keys.example/all?…" in output


def test_a_variable_that_is_no_setting_is_told_beside_what_is_printed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOMS_PROT", "hush")
    result = CliRunner().invoke(main, ["config", "--changed"])
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "rooms: ROOMS_PROT is no setting, ROOMS_PORT is.\n"


def test_a_setting_that_does_not_fit_is_named(folder: Path) -> None:
    result = CliRunner().invoke(main, ["config", "--port", "high"])
    assert result.exit_code == 2
    assert "--port 'high' does not fit port" in result.output
