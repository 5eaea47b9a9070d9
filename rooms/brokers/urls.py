"""Which broker a URL names: the setting ``broker``."""

from __future__ import annotations

from pathlib import Path
from typing import get_args
from urllib.parse import parse_qsl, unquote

from rooms.brokers.base import Broker
from rooms.brokers.memory import MemoryBroker
from rooms.errors import ConfigError

CHOICES = "memory:// or sqlite:///FILE"


def make_broker(url: str, patience: float = 0.0) -> Broker:
    """Return the broker that ``url`` names; nothing is opened yet.

    Args:
        url: One of the forms below.
        patience: Seconds for which opening waits for a file that another server still has.

    ``memory://``
        Keeps everything in memory.
    ``sqlite:///rooms.db``
        Keeps everything in a file: a path from the current folder, or with a fourth slash from the
        root.  ``?synchronous=full`` makes it outlive a failure of the machine too.

    Raises:
        ConfigError: It names none; the message says which there are.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite":
        return _sqlite(url, rest, patience)
    if url != "memory://":
        raise ConfigError(f"There is no broker {url!r}: choose {CHOICES}.")
    return MemoryBroker()


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
