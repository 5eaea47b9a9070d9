"""``rooms token``: makes tokens of users, and says what is in one."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
import msgspec

from rooms.cli.serve import setting_options
from rooms.config import FILE_NAME, Settings, load
from rooms.errors import ConfigError

if TYPE_CHECKING:
    from rooms.core.identity import Identity
    from rooms.server.tokens.verifier import JWT

F = TypeVar("F", bound=Callable[..., Any])

INVALID = 1
CANNOT = 2

LINE = 100_000
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@click.group()
def token() -> None:
    """Make and check tokens of users, with the keys that `rooms serve` would use here.

    The keys are those of the settings: rooms.toml, ROOMS_… in the environment, or options such
    as --jwt-secret-file.
    """


def key_options(command: F) -> F:
    """Add the options for the settings of tokens, and no others."""
    return setting_options(command, [name for name in Settings.__struct_fields__ if _is_key(name)])


def _is_key(name: str) -> bool:
    return name.startswith("jwt_") or name == "jwks_url"


@token.command()
@click.option("--user", required=True, metavar="ID", help="Whose token it is (sub).")
@click.option("--name", default="", help="Name that others see.")
@click.option(
    "--room",
    "rooms",
    multiple=True,
    metavar="FILTER=ACTION,…",
    help="What may be done in which rooms: join, publish, subscribe, presence, history; again "
    "for more.  Without any the application decides.",
)
@click.option("--ttl", default="1h", show_default=True, help="How long it holds: 90s, 15m, 1h, 7d.")
@click.option(
    "--claim", "claims", multiple=True, metavar="NAME=VALUE", help="Another claim; JSON or text."
)
@key_options
def create(
    user: str,
    name: str,
    rooms: tuple[str, ...],
    ttl: str,
    claims: tuple[str, ...],
    **flags: Any,
) -> None:
    """Print a new token, signed with the secret of the settings."""
    try:
        made = _verifier(flags).make(
            user,
            ttl=_seconds(ttl),
            name=name,
            rooms=_grants(rooms) if rooms else None,
            claims=dict(map(_claim, claims)),
        )
    except (ConfigError, ValueError) as error:
        _fail(error)
    click.echo(made)


@token.command()
@click.argument("given", default="-", metavar="[TOKEN|-]")
@key_options
def check(given: str, **flags: Any) -> None:
    """Say what a token holds, and whether it is valid here; exit code 1 if it is not.

    It is read from standard input unless it is given; on a command line others can see it.
    """
    import trio

    from rooms.errors import Refused

    try:
        verifier = _verifier(flags)
    except ConfigError as error:
        _fail(error)
    text = (_read_line() if given == "-" else given).strip()
    _show_claims(text)
    try:
        identity = trio.run(verifier.verify, text)
    except Refused as refused:
        click.echo(f"Not valid: {refused.reason} ({refused.detail})")
        raise SystemExit(INVALID) from None
    click.echo(_valid(identity))


def _verifier(flags: dict[str, Any]) -> JWT:
    from rooms.server.tokens.configured import jwt_from

    file = Path(FILE_NAME)
    loaded = load(flags, os.environ, file if file.exists() else None)
    verifier = jwt_from(loaded.settings)
    if verifier is None:
        raise ConfigError("No keys are set: give --jwt-secret-file, or name it in rooms.toml.")
    return verifier


def _read_line() -> str:
    """Return what standard input says, up to more than any token has."""
    return sys.stdin.buffer.readline(LINE).decode("utf-8", "replace")


def _fail(error: Exception) -> NoReturn:
    click.echo(f"rooms: {error}", err=True)
    raise SystemExit(CANNOT) from None


def _seconds(text: str) -> float:
    """Return what ``90s``, ``15m``, ``1h`` and ``7d`` mean; a bare number is seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if found is None:
        raise ValueError(f"{text!r} is no duration: give 90s, 15m, 1h or 7d.")
    return float(found[1]) * UNITS[found[2] or "s"]


def _grants(texts: Iterable[str]) -> dict[str, list[str]]:
    """Return what is granted where, together where one filter is named several times."""
    granted: dict[str, list[str]] = {}
    for rooms, actions in map(_grant, texts):
        granted[rooms] = list(dict.fromkeys([*granted.get(rooms, ()), *actions]))
    return granted


def _grant(text: str) -> tuple[str, list[str]]:
    """Return the filter and the actions of ``team/1=join,publish``."""
    rooms, equals, actions = text.rpartition("=")
    if not equals:
        raise ValueError(f"{text!r} must be FILTER=ACTION,…: 'team/1=join,publish'.")
    return rooms, [each.strip() for each in actions.split(",") if each.strip()]


def _claim(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"{text!r} must be NAME=VALUE.")
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value


def _show_claims(text: str) -> None:
    """Print what a token says, believed or not."""
    from rooms.errors import InvalidToken
    from rooms.server.tokens.signatures import read_claims, read_header

    try:
        header, claims = read_header(text), read_claims(text)
    except InvalidToken:
        return
    click.echo(f"Signed by {header}; it says:")
    for name, value in claims.items():
        click.echo(f"  {_printable(name)}: {_shown(name, value)}")


def _shown(name: str, value: Any) -> str:
    written = _printable(msgspec.json.encode(value).decode())
    if name in ("exp", "nbf", "iat") and isinstance(value, int | float):
        return f"{written} ({_date(value)})"
    return written


def _date(seconds: float) -> str:
    from datetime import UTC, datetime

    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return "no date"


def _printable(text: str) -> str:
    """Return ``text`` without what a terminal would obey."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


def _valid(identity: Identity) -> str:
    user, ends = identity.user, identity.expires_at
    until = "for ever" if ends is None else f"until {_date(ends)}, leeway included"
    rights = "what the application allows" if identity.grants is None else "what rooms says"
    return f"Valid: {user.id!r} ({user.name}) may do {rights}, {until}."
