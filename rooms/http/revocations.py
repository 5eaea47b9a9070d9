"""Ending sign-ins by the admin API."""

from __future__ import annotations

import msgspec
from quart import Response

from rooms.http.endpoints import Endpoint
from rooms.http.errors import ApiError, json_response
from rooms.http.requests import body
from rooms.server.app import App


class RevokeOrder(msgspec.Struct):
    """What to revoke: all tokens of a user so far, or one token.

    Attributes:
        user: An id.
        token: The token's id (``jti``), not the token.
        expires_at: Seconds since 1970 up to which that must be remembered, if it is known.
    """

    user: str | None = None
    token: str | None = None
    expires_at: float | None = None


class RevokedView(msgspec.Struct):
    """What was revoked.

    Attributes:
        connections: How many were ended on this server.
    """

    connections: int


class LogoutOrder(msgspec.Struct):
    """Whose connections to end."""

    user: str


class RevocationApi:
    """The endpoints that end sign-ins."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def revoke(self) -> Response:
        """End a user's or a token's connections, and refuse those tokens from now on."""
        order = await body(RevokeOrder)
        if not (order.user or order.token):
            raise ApiError(422, "invalid", "Name a user, or a token by its id.")
        ended = self._app.revoke(
            user=order.user or None, token_id=order.token or None, expires_at=order.expires_at
        )
        return json_response(RevokedView(ended))

    async def logout(self) -> Response:
        """End all connections of a user; the user may come back."""
        order = await body(LogoutOrder)
        return json_response(RevokedView(self._app.logout(order.user)))


def revocation_endpoints(app: App) -> list[Endpoint]:
    """Return the endpoints that end sign-ins."""
    api = RevocationApi(app)
    return [
        Endpoint(
            method="POST",
            path="/revoke",
            view=api.revoke,
            answer=RevokedView,
            access="full",
            body=RevokeOrder,
        ),
        Endpoint(
            method="POST",
            path="/logout",
            view=api.logout,
            answer=RevokedView,
            access="full",
            body=LogoutOrder,
        ),
    ]
