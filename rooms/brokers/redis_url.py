"""Where Redis or Valkey is, as a URL says it."""

from __future__ import annotations

from typing import Literal
from urllib.parse import parse_qsl, unquote

import msgspec
from msgspec import Struct

from rooms.errors import ConfigError
from rooms.protocol.urls import hide_password

Kind = Literal["single", "sentinel", "cluster"]
Address = tuple[str, int]
"""A host and a port; a path and 0 for a Unix socket."""

PORTS = {"single": 6379, "cluster": 6379, "sentinel": 26379}
META_SECONDS = 86_400.0
PROBE_SECONDS = 5.0
LONGEST_TTL = 31_536_000.0
LONGEST_PROBE = 3600.0


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """What may follow the question mark.

    Attributes:
        prefix: Of all keys and channels: servers that share an engine are told apart by it.
        ca: File of the certificates that an engine's certificate may be signed with.
        db: Of a Unix socket; otherwise the path names it.
        ttl: Seconds for which the count of a room is kept after it was used last.
        probe: Seconds between two tests of the way through the engine.
        filters: Whether a cluster carries every publication once more, for filters.
    """

    prefix: str = "rooms"
    ca: str = ""
    db: int | None = None
    ttl: float = META_SECONDS
    probe: float = PROBE_SECONDS
    filters: bool = False


class RedisUrl(Struct, frozen=True):
    """Where an engine is and how to speak to it; made by `parse_redis_url`.

    Attributes:
        shown: The URL without its password, for messages.
        addresses: Of the engine, its Sentinels or some of its cluster's nodes.
        service: How the Sentinels call it.
    """

    shown: str
    kind: Kind
    addresses: tuple[Address, ...]
    user: str
    password: str
    db: int
    service: str
    tls: bool
    options: Options

    @property
    def prefix(self) -> str:
        """Of all names: channels are the same in all databases, so another one's are told apart."""
        return f"{self.options.prefix}/{self.db}" if self.db else self.options.prefix

    def __repr__(self) -> str:
        return f"RedisUrl({self.shown!r})"


_SCHEMES: dict[str, tuple[Kind, bool]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("single", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
SCHEMES = frozenset(_SCHEMES)


def parse_redis_url(url: str) -> RedisUrl:
    """Return what ``url`` says.

    ``redis://user:password@host:6379/0``, ``rediss://`` (TLS), ``unix:///path?db=0``,
    ``redis+sentinel://host:26379,host:26379/service/0``, ``redis+cluster://host:6379,host:6379``.

    Raises:
        ConfigError: It cannot be used; the message says why, and has no password in it.
    """
    try:
        return _parse(url)
    except (ValueError, msgspec.ValidationError) as error:
        raise ConfigError(f"The broker {hide_password(url)!r} cannot be used: {error}.") from None


def _parse(url: str) -> RedisUrl:
    scheme, _, rest = url.partition("://")
    kind, tls = _SCHEMES[scheme]
    rest, _, query = rest.partition("?")
    options = _options(query)
    login, _, rest = rest.rpartition("@")
    user, colon, password = login.partition(":")
    hosts, _, path = rest.partition("/")
    if scheme == "unix":
        if hosts or not path:
            raise ValueError("write unix:///path/of/the.sock")
        addresses: tuple[Address, ...] = (("/" + unquote(path), 0),)
        service, db = "", options.db or 0
    else:
        addresses = tuple(_address(each, PORTS[kind]) for each in hosts.split(","))
        service, db = _place(kind, path)
        if options.db is not None:
            raise ValueError("the database is named by the path, as in redis://host:6379/0")
    if kind == "single" and len(addresses) > 1:
        raise ValueError("several hosts need redis+sentinel:// or redis+cluster://")
    return RedisUrl(
        shown=hide_password(url),
        kind=kind,
        addresses=addresses,
        user=unquote(user) if colon else "",
        password=unquote(password) if colon else unquote(user),
        db=db,
        service=service,
        tls=tls,
        options=options,
    )


def _options(query: str) -> Options:
    pairs = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    options = msgspec.convert(pairs, Options, strict=False)
    if not options.prefix or set(options.prefix) & set("{}*?[]\\^") or not options.prefix.isascii():
        raise ValueError("a prefix is plain text without any of {}*?[]\\^")
    if not options.prefix.isprintable() or len(options.prefix) > 64:
        raise ValueError("a prefix is printable and at most 64 characters long")
    if not (1 <= options.ttl <= LONGEST_TTL and 0.01 <= options.probe <= LONGEST_PROBE):
        raise ValueError("ttl is 1 to 31536000 seconds (a year), probe 0.01 to 3600")
    return options


def _address(text: str, default: int) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(default)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not host:port")
    return host, int(port)


def _place(kind: Kind, path: str) -> tuple[str, int]:
    """Return the service and the database that a path names."""
    service, db = "", path
    if kind == "sentinel":
        service, _, db = path.partition("/")
        if not service:
            raise ValueError("name the service, as in redis+sentinel://host:26379/mymaster")
    if kind == "cluster" and db:
        raise ValueError("a cluster has no databases")
    if db and not (db.isascii() and db.isdigit()):
        raise ValueError(f"{db!r} is not the number of a database")
    return unquote(service), int(db or 0)
