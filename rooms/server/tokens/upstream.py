"""Who is signed in, said to an upstream in a way that it can check."""

from __future__ import annotations

from pathlib import Path

import jwt

from rooms.config import Settings
from rooms.errors import ConfigError
from rooms.protocol.commands import User

USER_SECONDS = 60
"""For how long the signed header holds: it is checked when a connection begins."""

LEAST_SECRET_BYTES = 32
"""A key must be as long as what it signs with puts out (RFC 7518, section 3.2)."""


def gateway_secret(settings: Settings) -> str:
    """Return what users are signed with, empty if nothing is said of them.

    Raises:
        ConfigError: The file cannot be read, or there is no secret in it, or one that is too short.
    """
    secret = settings.gateway_secret
    if not secret and settings.gateway_secret_file:
        try:  # a line, read anew so that it can be replaced while the server runs
            secret = Path(settings.gateway_secret_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"The gateway's secret cannot be read: {error}.") from None
        if not secret:
            file = settings.gateway_secret_file
            raise ConfigError(f"The file of the gateway's secret, {file!r}, is empty.")
    try:
        return checked_secret(secret) if secret else ""
    except ValueError as error:
        raise ConfigError(f"{error}.") from None


def signed_user(user: User, secret: str, now: float) -> str:
    """Return who is signed in as a JSON Web Token (RFC 7519) for an upstream.

    Its claims are ``sub`` (the user's id), ``name``, ``iat`` and ``exp``.

    Args:
        now: Seconds since 1970.
    """
    claims = {"sub": user.id, "name": user.name, "iat": int(now), "exp": int(now) + USER_SECONDS}
    return jwt.encode(claims, secret, algorithm="HS256")


def checked_secret(secret: str) -> str:
    """Return ``secret`` if it is long enough.

    Raises:
        ValueError: It is not, or it is no secret but a public key.
    """
    material = secret.encode("utf-8", "surrogatepass")
    if len(material) < LEAST_SECRET_BYTES:
        raise ValueError(f"the gateway's secret must have {LEAST_SECRET_BYTES} bytes at least")
    try:
        jwt.get_algorithm_by_name("HS256").prepare_key(material)
    except jwt.InvalidKeyError:
        raise ValueError("the gateway's secret is a public key, which everybody may know") from None
    return secret
