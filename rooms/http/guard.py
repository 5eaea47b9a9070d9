"""Who may use the admin API: the holder of a token, or of a cookie got for one."""

from __future__ import annotations

import math
import secrets
import time
from typing import Any, Literal, NoReturn

import structlog
import trio
from quart import Response, g, request

from rooms.config import Settings
from rooms.core.admin_sessions import AdminSession, seal, unseal
from rooms.core.admin_tokens import AdminToken, AdminTokens
from rooms.core.tries import FailedTries
from rooms.http.csrf import SAFE_METHODS, check_cookie_request
from rooms.http.errors import ApiError
from rooms.http.visitor import Visitor, visitor
from rooms.protocol.bus import Revoke
from rooms.server import reach
from rooms.server.addresses import network_of
from rooms.server.admin_settings import admin_tokens
from rooms.server.app import App
from rooms.server.refusals import SeldomLog

Access = Literal["open", "read", "full"]
"""What an endpoint asks for: nothing, any token, or one that may act."""

COOKIE = "rooms-admin"
SECURE_COOKIE = f"__Host-{COOKIE}"
"""Browsers take it by TLS alone, for this host alone (RFC 6265bis, section 4.1.3.2)."""

SESSION_BYTES = 16

log = structlog.get_logger("rooms.admin")


class Guard:
    """Admits requests to the admin API of ``app``."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._tries = FailedTries()
        self._log = SeldomLog()
        self._read: tuple[Settings | None, AdminTokens] = (None, AdminTokens())

    def admit(self, access: Access) -> None:
        """Return if the current request may have ``access``; `holder` then says who made it.

        Raises:
            ApiError: It may not: 401 without a token, 403 if the token or the page may not act,
                429 after too many wrong tokens from its address.
        """
        if access == "open":
            return
        who = visitor(self._app.node)
        token = self._by_token(who) or self._by_cookie(who)
        if token is None:
            raise unauthorized()
        g.admin = token
        if access == "full" and token.role != "full":
            self._refuse("role")
            message = f"The token {token.name!r} may only read; acting takes one with role full."
            raise ApiError(403, "forbidden", message)

    def knows(self) -> bool:
        """Whether the current request may have ``read``; a wrong token is one try, as elsewhere."""
        try:
            self.admit("read")
        except ApiError:
            return False
        return True

    async def note(self, response: Response) -> Response:
        """Log who has acted, and with what outcome."""
        token: AdminToken | None = g.get("admin")
        if token is not None and request.method not in SAFE_METHODS:
            log.info(
                "admin",
                token=token.name,
                method=request.method,
                path=request.path,
                status=response.status_code,
                remote=str(visitor(self._app.node).address),
            )
        return response

    # Sessions.

    def sign_in(self, response: Response) -> AdminSession:
        """Open a session for whoever made the current request, and give them its cookie.

        Raises:
            ApiError: The request has a cookie and no token: no session can prolong itself.
        """
        if not _is_bearer():
            raise unauthorized()
        node = self._app.node
        session_id = f"admin session {secrets.token_hex(SESSION_BYTES)}"
        seconds = node.settings.admin_session_seconds
        session = AdminSession(session_id, holder(), time.time() + seconds)
        self._set_cookie(response, seal(session, node.secret), math.ceil(seconds))
        return session

    async def sign_out(self, response: Response) -> None:
        """End the session of the current request, if there is one, and take its cookie back."""
        session = self.session()
        if session is not None:
            await reach.revoke(self._app.node, Revoke(None, session.id, session.expires_at))
        self._set_cookie(response, "", 0)

    def session(self) -> AdminSession | None:
        """Return the session whose cookie the current request has, if its token still holds."""
        node, now = self._app.node, time.time()
        cookie = request.cookies.get(self._cookie(), "")
        session = unseal(cookie, node.secret, self._tokens(), now)
        if session is None or node.revocations.cover_token(session.id, now):
            return None
        return session

    def _set_cookie(self, response: Response, value: str, seconds: int) -> None:
        name = self._cookie()
        response.set_cookie(
            name,
            value,
            max_age=seconds,
            path="/",
            secure=name == SECURE_COOKIE,
            httponly=True,
            samesite="Strict",
        )

    def _cookie(self) -> str:
        return SECURE_COOKIE if visitor(self._app.node).site.secure else COOKIE

    # Who it is.

    def _by_token(self, who: Visitor) -> AdminToken | None:
        """Return the token of the header ``Authorization``; None if it holds no such thing."""
        if not _is_bearer():
            return None
        address, now = network_of(who.address.host), trio.current_time()
        if wait := self._tries.wait(address, now):
            self._refuse("tries")
            raise too_many_tries(math.ceil(wait))
        given = request.headers["Authorization"].partition(" ")[2]
        # headers come decoded as Latin-1; their bytes are what was sent
        token = self._tokens().find(given.strip().encode("latin-1", "replace"))
        if token is None:
            self._tries.fail(address, now)
            self._wrong(who)
        return token

    def _by_cookie(self, who: Visitor) -> AdminToken | None:
        session = self.session()
        if session is None:
            return None
        try:
            check_cookie_request(who.site)
        except ApiError as error:
            self._refuse(error.code)
            raise
        return session.token

    def _wrong(self, who: Visitor) -> NoReturn:
        self._refuse("token")
        unsaid = self._log.turn("token")
        if unsaid is not None:
            remote = str(who.address)
            log.warning("wrong admin token", remote=remote, path=request.path, unsaid=unsaid)
        raise unauthorized()

    def _refuse(self, reason: str) -> None:
        self._app.node.counters.add("admin_refusals", reason)

    def _tokens(self) -> AdminTokens:
        """Return the tokens of the settings, which may change while the server runs."""
        settings = self._app.node.settings
        if settings is not self._read[0]:
            self._read = settings, admin_tokens(settings)
        return self._read[1]


def holder() -> AdminToken:
    """Return the token that the current request was admitted with."""
    found: Any = g.admin
    assert isinstance(found, AdminToken)
    return found


def _is_bearer() -> bool:
    """Whether the current request has one token; a proxy may have asked for other credentials."""
    values = request.headers.getlist("Authorization")
    return len(values) == 1 and values[0].partition(" ")[0].lower() == "bearer"


def unauthorized() -> ApiError:
    """Return the answer to whoever has no token."""
    return ApiError(
        401,
        "unauthorized",
        "Send the admin token of this server as 'Authorization: Bearer <token>'.",
        {"WWW-Authenticate": 'Bearer realm="rooms"'},
    )


def too_many_tries(seconds: int) -> ApiError:
    """Return the answer to whoever has tried too many wrong tokens."""
    message = f"Too many wrong tokens came from your address. Try again in {seconds} seconds."
    return ApiError(429, "rate_limited", message, retry_after=seconds)
