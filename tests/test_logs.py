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
