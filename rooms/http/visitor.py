"""Who sent the request that is being answered, and what they call this server."""

from __future__ import annotations

from typing import NamedTuple

from quart import request

from rooms.protocol.origin import Origins, Site, same_origin, site_of
from rooms.protocol.proxy import Endpoint, client_behind
from rooms.server.node import Node

_NOBODY = ("nowhere", 0)


class Visitor(NamedTuple):
    """The client behind a request.

    Attributes:
        address: Its own, or that of the trusted proxy that did not say whom it speaks for.
        site: What it calls this server.
    """

    address: Endpoint
    site: Site


def visitor(node: Node) -> Visitor:
    """Return who sent the current request, as trusted proxies say it."""
    headers = request_headers()
    tls = request.scheme == "https"
    peer = Endpoint(*(request.scope.get("client") or _NOBODY)[:2])
    if peer.host not in node.admission.proxies:
        return Visitor(peer, site_of(headers, tls=tls))
    header = node.settings.forwarded_header
    address = client_behind(peer, headers, header, node.admission.proxies)
    return Visitor(address, site_of(headers, tls=tls, forwarded=header))


def is_same_origin(site: Site, others: Origins) -> bool:
    """Whether the current request was made by a page of ``site``, or of ``others``.

    Browsers say so themselves in ``Sec-Fetch-Site``, which no page can change; those that do not
    send the page's origin with every request that acts.
    """
    origin = request.headers.get("Origin")
    if origin is not None and origin in others:
        return True
    fetched = request.headers.get("Sec-Fetch-Site")
    if fetched is not None:
        return fetched == "same-origin"
    return origin is not None and same_origin(origin, site)


def request_headers() -> dict[str, str]:
    """Return the request's headers, names in lower case; what was sent twice is one list."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers
