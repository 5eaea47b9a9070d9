"""Log lines, for people and for machines."""

from __future__ import annotations

import json

import pytest
import structlog

from rooms import logs
from rooms.config import LogFormat


def _fail() -> None:
    secret = "a token"
    raise ValueError(len(secret))


def _log_a_failure() -> None:
    log = structlog.get_logger("rooms")
    try:
        _fail()
    except ValueError as error:
        log.error("handler failed", client="c1", exc_info=error)


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_failure_is_logged_with_its_traceback_and_without_local_variables(
    form: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info", form)
    try:
        _log_a_failure()
    finally:
        structlog.reset_defaults()
    written = capsys.readouterr().err
    assert "handler failed" in written
    assert "in _fail" in written
    assert "ValueError: 7" in written
    assert "a token\n" not in written
    assert "secret =" not in written.replace('secret = "a token"', "")


def test_json_is_one_object_a_line_and_less_than_the_level_is_not_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("warning", "json")
    log = structlog.get_logger("rooms")
    log.info("unseen")
    log.warning("seen\nstill the same line", client="c1")
    structlog.reset_defaults()
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert entry["event"] == "seen\nstill the same line"
    assert (entry["level"], entry["client"]) == ("warning", "c1")


def test_the_level_can_change_where_a_logger_is_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("warning", "json")
    log = structlog.get_logger("rooms")
    log.info("unseen")
    logs.set_level("debug")
    log.debug("seen")
    logs.set_level("error")
    log.warning("unseen")
    structlog.reset_defaults()
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "seen"


FORGED = [
    "a\n2026-01-01T00:00:00 [warning  ] forged",
    "a\r\nforged",
    "a\x1b[2J\x1b]0;title\x07",
    "a\u2028b\x85c\x0bd\x0ce",
    "\x00\x7f\x9b31m\u202e",
]


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("text", FORGED)
def test_nothing_that_a_client_sends_makes_a_second_line_or_commands_a_terminal(
    form: LogFormat, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info", form)
    log = structlog.get_logger("rooms")
    log.warning(text, origin=text, names=[text], **{text: 1})
    structlog.reset_defaults()
    written = capsys.readouterr().err
    assert len(written.splitlines()) == 1
    assert written.removesuffix("\n").isprintable()


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("text", FORGED)
def test_no_line_of_a_traceback_looks_like_an_event(
    form: LogFormat, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info", form)
    try:
        raise ValueError(text)
    except ValueError as error:
        structlog.get_logger("rooms").error("failed", exc_info=error)
    structlog.reset_defaults()
    _, *lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("  ") or not line for line in lines)
    assert all(line.isprintable() for line in lines)
