"""The tokens of the admin API, as the settings and their files name them."""

from __future__ import annotations

import secrets

import msgspec

from rooms.config import Settings
from rooms.core.admin_tokens import AdminTokens, parse_token, plain_token
from rooms.errors import ConfigError

TOKEN_BYTES = 24
"""Of chance, in a token that is made here: nobody can guess it from its digest."""


def make_token() -> str:
    """Return a new token."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def has_admin_tokens(settings: Settings) -> bool:
    """Whether ``settings`` name a token, or a file of them; else one is made."""
    return any(
        (
            settings.admin_token,
            settings.admin_token_file,
            settings.admin_tokens,
            settings.admin_tokens_file,
        )
    )


def with_admin_tokens(settings: Settings, default: str = "") -> Settings:
    """Return the settings with the tokens of their files, and with at least one.

    Args:
        default: The token where none is given; a new one without it.

    Raises:
        ConfigError: A file cannot be read, or what is given is no token.
    """
    listed = settings.admin_tokens
    if settings.admin_tokens_file:
        lines = _read(settings.admin_tokens_file, "admin tokens").splitlines()
        listed += tuple(line for line in map(str.strip, lines) if line and line[0] != "#")
    token = settings.admin_token
    if not token and settings.admin_token_file:
        token = _read(settings.admin_token_file, "admin token").strip()
        if not token:
            raise ConfigError(f"The admin token file {settings.admin_token_file!r} is empty.")
    if not token and not listed:
        token = default or make_token()
    complete = msgspec.structs.replace(settings, admin_token=token, admin_tokens=listed)
    admin_tokens(complete)
    return complete


def admin_tokens(settings: Settings) -> AdminTokens:
    """Return the tokens that ``settings`` hold.

    Raises:
        ConfigError: An entry is not that of a token; the error shows nothing secret.
    """
    plain = [plain_token(settings.admin_token)] if settings.admin_token else []
    try:
        return AdminTokens([*plain, *map(parse_token, settings.admin_tokens)])
    except ValueError as error:
        raise ConfigError(f"admin_tokens: {error}.") from None


def _read(name: str, what: str) -> str:
    try:
        with open(name, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The {what} cannot be read from {name!r}: {error}.") from None
