"""Who says who clients are, where the settings say it and not the application."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from rooms.config import Settings
from rooms.server.auth import Authenticator

if TYPE_CHECKING:
    from rooms.server.tokens.verifier import JWT

log = structlog.get_logger("rooms")


def auth_for(auth: Sequence[Authenticator], settings: Settings) -> Sequence[Authenticator]:
    """Return the application's own authenticators, or if it has none what the settings ask for.

    Raises:
        ConfigError: As `jwt_from`.
    """
    if auth:
        if _has_keys(settings):
            log.warning("the application says who gets in: the settings for tokens are not used")
        return auth
    configured = jwt_from(settings)
    return [] if configured is None else [configured]


def jwt_from(settings: Settings) -> JWT | None:
    """Return what checks tokens as the settings say, or None if they name no keys.

    Raises:
        ConfigError: They contradict each other, or the keys cannot be used; or they say how to
            check tokens, but not by which keys: without this everybody would get in.
    """
    if not _has_keys(settings) and not _has_rules(settings):
        return None
    from rooms.server.tokens.verifier import JWT

    return JWT(
        settings.jwt_secret,
        secret_file=settings.jwt_secret_file,
        key_file=settings.jwt_key_file,
        jwks_url=settings.jwks_url,
        algorithms=settings.jwt_algorithms,
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer,
        leeway=settings.jwt_leeway,
        required=settings.jwt_required,
    )


def _has_keys(settings: Settings) -> bool:
    places = (settings.jwt_secret_file, settings.jwt_key_file, settings.jwks_url)
    return bool(settings.jwt_secret) or any(places)


def _has_rules(settings: Settings) -> bool:
    return any((settings.jwt_algorithms, settings.jwt_audience, settings.jwt_issuer))
