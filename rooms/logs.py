"""Logging by structlog: events with fields, for people or for machines."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict

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
    # the prettier tracebacks show local variables, and so what clients sent and their tokens
    plain = structlog.dev.plain_traceback
    colors = sys.stderr.isatty()
    return [structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0, exception_formatter=plain)]
