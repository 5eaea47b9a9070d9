"""Where the keys of tokens are: in the settings, in a file, or under a URL."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from msgspec import Struct

from rooms.errors import ConfigError
from rooms.server.tokens.keys import ALGORITHMS, SECRET_BYTES, FixedKeys, Key, KeySource, secret_key


class KeyPlace(Struct, frozen=True):
    """One of these says where the keys are; the others are empty."""

    secret: str = ""
    secret_file: str = ""
    key_file: str = ""
    jwks_url: str = ""

    def __repr__(self) -> str:
        return "KeyPlace(…)"


def open_keys(place: KeyPlace, pinned: Collection[str] = ()) -> KeySource:
    """Return the keys of a place.

    Args:
        pinned: Algorithms that tokens may use; without any, the keys decide.

    Raises:
        ConfigError: No place or more than one is named, it cannot be read, or what is there
            cannot be used, or not for a pinned algorithm.
    """
    if sum(map(bool, (place.secret, place.secret_file, place.key_file, place.jwks_url))) != 1:
        raise ConfigError(
            "Name one place of the keys for tokens: jwt_secret, jwt_secret_file, jwt_key_file or "
            "jwks_url."
        )
    _check_pins(pinned, ALGORITHMS - set(SECRET_BYTES) if place.jwks_url else ALGORITHMS)
    if place.jwks_url:
        return _remote_keys(place.jwks_url)
    keys = _public_keys(place.key_file) if place.key_file else [secret_key(_secret(place))]
    if pinned:
        _check_pins(pinned, frozenset().union(*(key.algorithms for key in keys)))
    return FixedKeys(keys)


def _check_pins(pinned: Collection[str], possible: frozenset[str]) -> None:
    wrong = sorted(set(pinned) - possible)
    if wrong:
        known = ", ".join(sorted(possible))
        raise ConfigError(f"Tokens cannot use {wrong[0]!r} with these keys, but only {known}.")


def _secret(place: KeyPlace) -> str:
    return place.secret or _read(place.secret_file).strip()


def _public_keys(file: str) -> list[Key]:
    text = _read(file)
    try:
        from rooms.server.tokens.public import parse_keys
    except ImportError:
        raise _missing() from None
    try:
        return parse_keys(text)
    except ValueError as error:
        raise ConfigError(f"The key file {file!r} cannot be used: {error}.") from None


def _remote_keys(url: str) -> KeySource:
    from rooms.server.tokens.fetch import fetch, parse_url

    location = parse_url(url)
    try:
        from rooms.server.tokens.jwks import RemoteKeys
    except ImportError:
        raise _missing() from None
    return RemoteKeys(partial(fetch, location), location.shown)


def _missing() -> ConfigError:
    return ConfigError("Public keys need the library cryptography: `pip install cryptography`.")


def _read(file: str) -> str:
    try:
        with open(file, encoding="utf-8") as stream:
            return stream.read()
    except OSError as error:
        raise ConfigError(f"The keys in {file!r} cannot be read: {error}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"The keys in {file!r} cannot be read: they are no text.") from None
