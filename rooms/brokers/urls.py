"""Which broker a URL names: the setting ``broker``."""

from __future__ import annotations

from pathlib import Path
from typing import get_args
from urllib.parse import parse_qsl, unquote

from rooms.brokers.base import Broker
from rooms.brokers.memory import MemoryBroker
from rooms.brokers.redis_url import SCHEMES as REDIS_SCHEMES
from rooms.brokers.redis_url import parse_redis_url
from rooms.errors import ConfigError
from rooms.protocol.urls import hide_password

LEAST_PATIENCE = 1.0
"""Seconds that every call of an engine has: each is a message there and one back."""

CHOICES = "memory://, sqlite:///FILE or redis://HOST:PORT/DB"


def make_broker(url: str, patience: float = 0.0) -> Broker:
    """Return the broker that ``url`` names; nothing is opened yet.

    Args:
        url: One of the forms below.
        patience: Seconds for which opening waits for a file that another server still has, and
            every call for an engine that is away: that has a second at least.

    ``memory://``
        Keeps everything in memory.
    ``sqlite:///rooms.db``
        Keeps everything in a file: a path from the current folder, or with a fourth slash from the
        root.  ``?synchronous=full`` makes it outlive a failure of the machine too.

    ``redis://user:password@host:6379/0``
        Keeps everything in Redis or Valkey, for several servers; see `parse_redis_url`.

    Raises:
        ConfigError: It names none; the message says which there are.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite":
        return _sqlite(url, rest, patience)
    if separator and scheme in REDIS_SCHEMES:
        return _redis(url, patience)
    if url != "memory://":
        raise ConfigError(f"There is no broker {hide_password(url)!r}: choose {CHOICES}.")
    return MemoryBroker()


def _redis(url: str, patience: float) -> Broker:
    try:
        from rooms.brokers.redis import RedisBroker
    except ImportError as error:
        if error.name != "coredis":
            raise
        message = "A broker of that kind needs coredis: pip install 'rooms[redis]'."
        raise ConfigError(message) from None
    return RedisBroker(parse_redis_url(url), max(patience, LEAST_PATIENCE))


def _sqlite(url: str, rest: str, patience: float) -> Broker:
    from rooms.brokers.sqlite import SqliteBroker
    from rooms.brokers.sqlite_file import Synchronous

    path, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    synchronous = options.pop("synchronous", "normal")
    if not path.startswith("/") or path == "/":
        raise ConfigError(f"The broker {url!r} names no file: write sqlite:///rooms.db.")
    if options or synchronous not in get_args(Synchronous):
        wanted = " or ".join(f"synchronous={value}" for value in get_args(Synchronous))
        raise ConfigError(f"The broker {url!r} has an unknown option: it can have {wanted}.")
    kind: Synchronous = "full" if synchronous == "full" else "normal"
    return SqliteBroker(Path(unquote(path[1:])), kind, patience=patience)
