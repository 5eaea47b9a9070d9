"""Signing in to the admin API with a cookie, for pages that must not keep a token."""

from __future__ import annotations

import msgspec
from quart import Response

from rooms.http.endpoints import Endpoint
from rooms.http.errors import json_response
from rooms.http.guard import Guard, holder
from rooms.http.views import SessionView


class SessionApi:
    """The endpoints around the session of an admin."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def sign_in(self) -> Response:
        """Sign in with a token: the answer brings a cookie that does instead of it."""
        response = json_response(None)
        session = self._guard.sign_in(response)
        token = session.token
        view = SessionView(token.name, token.role, session.expires_at)
        response.set_data(msgspec.json.encode(view))
        return response

    async def sign_out(self) -> Response:
        """Sign out: the cookie opens nothing any more."""
        response = json_response(None, 204)
        response.set_data(b"")
        del response.headers["Content-Type"]
        await self._guard.sign_out(response)
        return response

    async def session(self) -> Response:
        """Tell who is signed in."""
        token, session = holder(), self._guard.session()
        expires_at = None if session is None or session.token != token else session.expires_at
        return json_response(SessionView(token.name, token.role, expires_at))


def session_endpoints(guard: Guard) -> list[Endpoint]:
    """Return the endpoints of the sessions that ``guard`` keeps."""
    api = SessionApi(guard)
    path = "/session"
    return [
        Endpoint(method="GET", path=path, view=api.session, answer=SessionView),
        Endpoint(method="POST", path=path, view=api.sign_in, answer=SessionView),
        Endpoint(method="DELETE", path=path, view=api.sign_out, answer=None, status=204),
    ]
