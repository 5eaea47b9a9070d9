"""Logging by structlog: events with fields, for people or for machines."""

from __future__ import annotations

import io
import logging
import sys
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo

from rooms.config import LogFormat, LogLevel

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}

_least = LEVELS["info"]


def configure(level: LogLevel, form: LogFormat) -> None:
    """Write one line an event to standard error, as text or as JSON."""
    set_level(level)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _drop_lesser,
            structlog.processors.TimeStamper(fmt="iso", utc=form == "json"),
            *_renderers(form),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def set_level(level: LogLevel) -> None:
    """Log nothing less than ``level`` from now on, also where loggers are in use already."""
    global _least
    _least = LEVELS[level]


def _drop_lesser(logger: Any, method: str, event: EventDict) -> EventDict:
    if LEVELS[event["level"]] < _least:
        raise structlog.DropEvent
    return event


def _renderers(form: LogFormat) -> list[structlog.typing.Processor]:
    if form == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    colors = sys.stderr.isatty()
    return [
        _keep_to_one_line,
        structlog.dev.ConsoleRenderer(
            colors=colors, pad_event_to=0, exception_formatter=_write_traceback
        ),
    ]


def _keep_to_one_line(logger: Any, method: str, event: EventDict) -> EventDict:
    """Escape what ends a line or commands a terminal: much of what is logged comes from clients."""
    return {visible(name): visible(value) for name, value in event.items()}


def visible(value: Any) -> Any:
    """Return a text without characters that cannot be seen; anything else as it is."""
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in value)


def _write_traceback(out: TextIO, exc_info: ExcInfo) -> None:
    """Write a traceback, each line indented: none can be taken for an event of its own.

    The prettier ones show local variables, and so what clients sent and their tokens.
    """
    plain = io.StringIO()
    structlog.dev.plain_traceback(plain, exc_info)
    for line in plain.getvalue().splitlines():
        out.write(f"\n  {visible(line)}".rstrip())
