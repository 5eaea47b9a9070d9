"""Which pages of others may read what the API answers (the Fetch standard, section 3.3)."""

from __future__ import annotations

from quart import Response, request
from quart_trio import QuartTrio

from rooms.http.errors import is_api
from rooms.server.app import App

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
HEADERS = "Authorization, Content-Type"
EXPOSED = "Retry-After"
PREFLIGHT_SECONDS = 600
"""How long a browser may remember what it may ask."""

WITH_COOKIES = frozenset({"/api/tickets"})
"""Where a listed page may use the cookies of the application; those of admins are not for it."""


class Cors:
    """Answers the questions of browsers for the origins of the setting `cors_origins`."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def preflight(self) -> Response | None:
        """Answer a browser that asks whether it may ask; anything else is not answered here."""
        if request.method != "OPTIONS" or not self._is_listed():
            return None
        if "Access-Control-Request-Method" not in request.headers:
            return None
        response = Response(b"", 204)
        response.headers["Access-Control-Allow-Methods"] = METHODS
        response.headers["Access-Control-Allow-Headers"] = HEADERS
        response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
        return response

    async def allow(self, response: Response) -> Response:
        """Tell the browser that it may show ``response`` to the page, if that is listed."""
        if not is_api(request.path) or not self._app.node.admission.cors:
            return response
        vary = "Origin"
        if request.method == "OPTIONS":
            vary += ", Access-Control-Request-Method, Access-Control-Request-Headers"
        response.headers.add("Vary", vary)
        if self._is_listed():
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            response.headers["Access-Control-Expose-Headers"] = EXPOSED
            if request.path in WITH_COOKIES:
                response.headers["Access-Control-Allow-Credentials"] = "true"
        return response

    def _is_listed(self) -> bool:
        origin = request.headers.get("Origin")
        listed = self._app.node.admission.cors
        return is_api(request.path) and origin is not None and origin in listed


def install_cors(site: QuartTrio, app: App) -> None:
    """Have ``site`` answer pages of other origins as the settings of ``app`` allow it."""
    cors = Cors(app)
    site.before_request(cors.preflight)
    site.after_request(cors.allow)
