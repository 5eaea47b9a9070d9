"""How one signs in here, for pages that must show it."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec
from quart import Response

from rooms.core.identity import Identity
from rooms.http.endpoints import Endpoint
from rooms.http.errors import ApiError, json_response
from rooms.http.views import UserView
from rooms.http.visitor import Visitor, visitor
from rooms.server.app import App
from rooms.server.gate import Gate

WRONG = (401, 403)
"""The statuses of credentials that prove nothing."""


class SignInView(msgspec.Struct):
    """How one signs in here, and as whom the request did.

    Attributes:
        by: What is asked for: a ``name`` of one's choice, a ``token``, what a ``page`` of the
            application says, or ``nothing``.
        page: The path of that page.
        optional: Whether one gets in without as well.
        user: Whom the request's token or cookie has signed in.
        problem: Why it has not, in words; null if there was none.
    """

    by: Literal["name", "token", "page", "nothing"]
    page: str | None = None
    optional: bool = False
    user: UserView | None = None
    problem: str | None = None


class Identifier(Protocol):
    """Finds out who sent the current request, and slows down those who guess."""

    async def identify(self, gate: Gate, who: Visitor) -> Identity | None: ...


class SignInApi:
    """The endpoint that a page asks before it shows anything."""

    def __init__(self, app: App, identifier: Identifier) -> None:
        self._app = app
        self._identifier = identifier

    async def how_to_sign_in(self) -> Response:
        """Tell how one signs in here, and whom the token or cookie of the request has signed in."""
        gate = self._app.node.gate
        if gate is None:
            by: Literal["name", "nothing"] = "name" if self._app.guests else "nothing"
            return json_response(SignInView(by, optional=by == "nothing"))
        page = self._app.http.sign_in
        view = SignInView("token" if page is None else "page", page, gate.anonymous)
        try:
            identity = await self._identifier.identify(gate, visitor(self._app.node))
            if identity is not None:
                view.user = UserView(identity.user.id, identity.user.name)
        except ApiError as error:
            if error.status not in WRONG:
                raise
            view.problem = error.message
        return json_response(view)


def sign_in_endpoint(app: App, identifier: Identifier) -> Endpoint:
    """Return the endpoint that says how one signs in to ``app``."""
    return Endpoint(
        method="GET",
        path="/sign-in",
        view=SignInApi(app, identifier).how_to_sign_in,
        answer=SignInView,
        access="open",
        errors=(429, 500, 503),
    )
