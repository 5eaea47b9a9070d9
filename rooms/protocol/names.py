"""Which names rooms, events and users may have."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from rooms.errors import InvalidName, ReservedName

NAME_BYTES = 255
"""The longest name, in bytes of UTF-8."""

LIFECYCLE = frozenset({"connected", "disconnected", "error", "joined", "left"})
"""Events that only the server fires: a remote frame can never name one of them."""

# Keys with a meaning of their own in JavaScript objects; clients use names as keys.
_TREACHEROUS = frozenset({"__proto__", "constructor", "prototype"})

_CLIENT_ID = re.compile(r"c\d+(-[0-9a-f]+)?", re.IGNORECASE)


@lru_cache(maxsize=4096)
def check_name(name: str) -> str:
    """Return ``name`` if it may name a room, an event or a user.

    Raises:
        InvalidName: It is empty, longer than `NAME_BYTES`, not in Unicode's composed form
            (NFC, so that two names that look the same are the same) or holds characters that
            cannot be seen.
        ReservedName: It begins with ``$`` (MQTT 5, section 4.7.2: for the server's own use) or
            is a key that JavaScript gives a meaning.
    """
    if not name or len(name.encode("utf-8", "surrogatepass")) > NAME_BYTES:
        raise InvalidName(f"A name must be 1 to {NAME_BYTES} bytes long.")
    if not name.isprintable() or not unicodedata.is_normalized("NFC", name):
        raise InvalidName("A name must be printable text in Unicode's composed form (NFC).")
    if name.startswith("$") or name in _TREACHEROUS:
        raise ReservedName(f"The name {name!r} belongs to the server.")
    return name


@lru_cache(maxsize=4096)
def check_room(name: str) -> str:
    """Return ``name`` if it may name a room: as `check_name`, and free of ``+`` and ``#``.

    Raises:
        InvalidName, ReservedName: As `check_name`, or it holds a wildcard (MQTT 5, 4.7.1), or is
            not in its plain form.
    """
    if "+" in name or "#" in name:
        raise InvalidName("A room's name must not hold the wildcards + and #.")
    return _check_plain(check_name(name))


@lru_cache(maxsize=4096)
def check_event(name: str) -> str:
    """Return ``name`` if a client may send an event of that name.

    Raises:
        InvalidName, ReservedName: As `check_name`, or it is one of `LIFECYCLE`, or is not in its
            plain form.
    """
    if name in LIFECYCLE:
        raise ReservedName(f"The event {name!r} is fired by the server only.")
    return _check_plain(check_name(name))


@lru_cache(maxsize=4096)
def check_user(name: str) -> str:
    """Return ``name`` if somebody may be called that: as `check_name`, and like no connection.

    Raises:
        InvalidName, ReservedName: As `check_name`, or it begins or ends with a space, or is
            like what the server calls connections.
    """
    check_name(name)
    if _CLIENT_ID.fullmatch(name):
        raise ReservedName(f"{name!r} is how the server calls connections.")
    if name != name.strip():
        raise InvalidName("A name must not begin or end with a space.")
    return name


def plain(name: str) -> str:
    """Return ``name`` without its characters' variants of form (NFKC).

    Names that differ only in that look alike: the ligature ``ﬁ`` is ``fi``, wide letters are
    narrow ones.
    """
    return unicodedata.normalize("NFKC", name)


def _check_plain(name: str) -> str:
    """Return ``name``, an identifier, if there is no plainer one that looks like it."""
    if plain(name) != name:
        raise InvalidName(f"In Unicode's plain form (NFKC), write {plain(name)!r}.")
    return name
