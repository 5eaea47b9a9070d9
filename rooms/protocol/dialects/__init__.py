"""The dialects that there are, by name, and which of them a handshake asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl

from rooms.errors import ConfigError
from rooms.protocol.dialects.base import Dialect, Voice
from rooms.protocol.dialects.fdw import Fdw
from rooms.protocol.dialects.msgpack import NativeMsgpack
from rooms.protocol.dialects.native import NativeJson
from rooms.protocol.dialects.tranzit import Tranzit
from rooms.protocol.dialects.zaptools import Zaptools
from rooms.protocol.paths import PathPattern

NATIVE = (NativeJson(), NativeMsgpack())

DIALECTS: Mapping[str, tuple[Dialect, ...]] = {
    "native": NATIVE,
    "zaptools": (Zaptools(),),
    "fdw": (Fdw(),),
    "tranzit": (Tranzit(),),
}
"""Those that come with Rooms, by the name that settings know."""


class Chosen(NamedTuple):
    """The dialect of a handshake, the subprotocol to select, and the path's parameters."""

    dialect: Dialect
    subprotocol: str | None
    parameters: Mapping[str, str]

    def open(self, query: str = "") -> Voice:
        """Return what the dialect makes of the connection.

        Args:
            query: Of the request, as it came; what it says of a parameter of the path is ignored.

        Raises:
            RequestError: There can be no such connection.
        """
        if not query:
            return self.dialect.open(self.parameters)
        return self.dialect.open({**dict(parse_qsl(query)), **self.parameters})


class Dialects:
    """The dialects that one server speaks.

    Raises:
        ValueError: Two of them mean the same path and subprotocol, or a path is no pattern.
    """

    def __init__(self, dialects: Iterable[Dialect] = NATIVE) -> None:
        self._by_path: dict[str, list[Dialect]] = {}
        for dialect in dialects:
            for path in dialect.paths:
                there = self._by_path.setdefault(path, [])
                _check_different(path, there, dialect)
                there.append(dialect)
        self._patterns = [PathPattern(path) for path in self._by_path]

    def choose(self, path: str, offered: Sequence[str]) -> Chosen | None:
        """Return the dialect that a handshake asks for, if it is spoken here.

        A path without parameters outweighs one with; else what was registered first holds.

        Args:
            path: The request's path, without its query.
            offered: The client's subprotocols, most wanted first (RFC 6455, section 4.1).
        """
        if path in self._by_path and "{" not in path:
            return _choose(self._by_path[path], offered, {})
        for pattern in self._patterns:
            if pattern.names and (parameters := pattern.match(path)) is not None:
                return _choose(self._by_path[pattern.text], offered, parameters)
        return None


def find_dialects(wanted: Iterable[str | Dialect], known: Iterable[Dialect] = ()) -> list[Dialect]:
    """Return dialects, those that are named by their names.

    Args:
        known: Others that can be named; the names of `DIALECTS` mean those.

    Raises:
        ConfigError: There is none of a name.
    """
    by_name = {**{dialect.name: (dialect,) for dialect in known}, **DIALECTS}
    found: dict[Dialect, None] = {}
    for dialect in wanted:
        if isinstance(dialect, Dialect):
            found[dialect] = None
        elif dialect in by_name:
            found |= dict.fromkeys(by_name[dialect])
        else:
            raise ConfigError(f"There is no dialect {dialect!r}, only {', '.join(by_name)}.")
    return list(found)


def _check_different(path: str, there: list[Dialect], new: Dialect) -> None:
    for old in there:
        if not new.subprotocols or not set(new.subprotocols).isdisjoint(old.subprotocols):
            raise ValueError(f"the dialects {old.name!r} and {new.name!r} both speak at {path}")


def _choose(there: list[Dialect], offered: Sequence[str], parameters: Mapping[str, str]) -> Chosen:
    for name in offered:
        for dialect in there:
            if name in dialect.subprotocols:
                return Chosen(dialect, name, parameters)
    return Chosen(there[0], None, parameters)
