"""One-time tickets for clients that can send neither a header nor a first message."""

from __future__ import annotations

import time

import msgspec
import trio
from quart import Response, request

from rooms.core.identity import Identity
from rooms.core.tries import FailedTries
from rooms.errors import Refused, RequestError
from rooms.http.csrf import check_cookie_request
from rooms.http.endpoints import Endpoint
from rooms.http.errors import ApiError, json_response
from rooms.http.guard import too_many_tries
from rooms.http.signin import sign_in_endpoint
from rooms.http.visitor import Visitor, request_headers, visitor
from rooms.server.addresses import network_of
from rooms.server.app import App
from rooms.server.auth import Credentials
from rooms.server.gate import Gate, credentials_of
from rooms.transports.base import Handshake

UNAUTHORIZED = {"WWW-Authenticate": 'Bearer realm="rooms"'}


class TicketView(msgspec.Struct):
    """A ticket, good once: open ``/ws?ticket=…`` with it.

    Attributes:
        expires_in: Seconds.
    """

    ticket: str
    expires_in: float


class TicketApi:
    """Gives tickets to those who are known by a token or by the application's own cookie."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._tries = FailedTries()

    async def create_ticket(self) -> Response:
        """Get a one-time ticket for the query of a WebSocket's URL, as the application's user."""
        node = self._app.node
        if node.gate is None:
            raise ApiError(404, "not_found", "Nobody signs in here, so there are no tickets.")
        identity = await self.identify(node.gate, visitor(node))
        if identity is None:
            message = "Send a token of this application as 'Authorization: Bearer <token>'."
            raise ApiError(401, "unauthorized", message, UNAUTHORIZED)
        if request.mimetype != "application/json":
            message = "Ask for it with the header 'Content-Type: application/json'."
            raise ApiError(415, "unsupported_media_type", message)
        seconds = node.settings.ticket_seconds
        try:
            ticket = node.gate.tickets.issue(identity, seconds, time.time())
        except RequestError as error:
            raise ApiError(503, error.code, error.message, retry_after=1) from None
        return json_response(TicketView(ticket, seconds))

    async def identify(self, gate: Gate, who: Visitor) -> Identity | None:
        """Return whose token or cookie the current request has; None if it has neither.

        Raises:
            ApiError: They are wrong (401, 403), that cannot be found out (500, 503), or too many
                wrong ones came from there (429).
        """
        network, now = network_of(who.address.host), trio.current_time()
        if wait := self._tries.wait(network, now):
            raise too_many_tries(int(wait) + 1)
        try:
            return await self._ask(gate, self._credentials(who))
        except Refused as refused:
            if refused.status < 500:
                self._tries.fail(network, now)
            raise self._error_of(refused, who) from None

    async def _ask(self, gate: Gate, credentials: Credentials) -> Identity | None:
        with trio.move_on_after(self._app.node.settings.auth_seconds):
            return await gate.identify(credentials)
        raise Refused("Checking the credentials takes too long.", 503)

    def _credentials(self, who: Visitor) -> Credentials:
        """Return what the current request brings; beside a token, its cookies count for nothing.

        Raises:
            ApiError: It has a cookie and comes from a page of somebody else.
        """
        headers = request_headers()
        if headers.get("authorization", "").lower().startswith("bearer"):
            headers.pop("cookie", None)
        if "cookie" in headers:
            check_cookie_request(who.site, self._app.node.admission.cors)
        return credentials_of(Handshake(request.path, "", b"", (), str(who.address)), headers)

    def _error_of(self, refused: Refused, who: Visitor) -> ApiError:
        answer = self._app.node.refusals.of_credentials(refused, str(who.address))
        assert answer.status is not None
        return ApiError(
            answer.status,
            answer.reason,
            answer.message,
            UNAUTHORIZED if answer.status == 401 else None,
            retry_after=answer.retry_after,
        )


def ticket_endpoints(app: App) -> list[Endpoint]:
    """Return the endpoints around the sign-in of users; they check by themselves who asks."""
    tickets = TicketApi(app)
    return [
        sign_in_endpoint(app, tickets),
        Endpoint(
            method="POST",
            path="/tickets",
            view=tickets.create_ticket,
            answer=TicketView,
            access="open",
            security=("user",),
            errors=(401, 403, 404, 413, 415, 429, 500, 503),
        ),
    ]
