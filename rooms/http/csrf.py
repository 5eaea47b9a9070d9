"""Keeps pages of strangers from acting with the cookie of somebody who is signed in."""

from __future__ import annotations

from quart import request

from rooms.http.errors import ApiError
from rooms.http.visitor import is_same_origin
from rooms.protocol.origin import Origins, Site

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""They change nothing (RFC 9110, section 9.2.1)."""


def check_cookie_request(site: Site, others: Origins | None = None) -> None:
    """Return if the current request, for which a cookie alone vouches, may change something.

    It must come from a page of the same origin, and say that it is JSON: no form can.

    Args:
        site: What the client calls this server, from `visitor`.
        others: Whose pages may do so too.

    Raises:
        ApiError: It comes from elsewhere (403), or is of another type (415).
    """
    if request.method in SAFE_METHODS:
        return
    if not is_same_origin(site, others or Origins()):
        message = "A request with a cookie must come from a page of this server."
        raise ApiError(403, "csrf", message)
    if request.mimetype != "application/json":
        message = "Send 'Content-Type: application/json' with every request that has a cookie."
        raise ApiError(415, "unsupported_media_type", message)
