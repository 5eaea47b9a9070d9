"""Which pages may talk to this server (RFC 6455, section 10.2; RFC 6454)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rooms.protocol.proxy import forwarded_site

NULL = "null"
"""The origin of pages that have none of their own: from files, sandboxes, some redirects."""

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

_AUTHORITY = r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?)(?::(?P<port>[0-9]{1,5}))?"
_ORIGIN = re.compile(rf"(?P<scheme>[a-z][a-z0-9+.-]*)://{_AUTHORITY}")
_HOST = re.compile(_AUTHORITY)
_SUBDOMAINS = "://*."


class WebOrigin(NamedTuple):
    """Where a page is from; two that are equal are the same origin.

    Attributes:
        port: The scheme's own if none is written; 0 where the scheme has none.
    """

    scheme: str
    host: str
    port: int


class Site(NamedTuple):
    """What a client calls this server.

    Attributes:
        host: The ``Host`` that was asked for, with or without a port.
        secure: Whether it is known that TLS is spoken on the way from the client.  Without it a
            proxy that nobody has named may still do so.
    """

    host: str
    secure: bool


class Origins:
    """A list of origins.

    Args:
        texts: Each is an origin such as ``https://chat.example.org``, all subdomains of a domain,
            ``https://*.example.org``, or ``null``.
        subdomains: Whether the list may hold such domains, and ``null``.

    Raises:
        ValueError: One is none of these; the error says which, and what to write.
    """

    def __init__(self, texts: Iterable[str] = (), *, subdomains: bool = True) -> None:
        self._origins: set[WebOrigin] = set()
        self._domains: list[WebOrigin] = []
        self._null = False
        for text in texts:
            self._add(text, subdomains)

    def __contains__(self, origin: str) -> bool:
        if origin == NULL:
            return self._null
        parsed = parse_origin(origin)
        return parsed is not None and (parsed in self._origins or self._is_below(parsed))

    def __bool__(self) -> bool:
        return bool(self._origins or self._domains or self._null)

    def _add(self, text: str, subdomains: bool) -> None:
        if not subdomains and (text == NULL or "*" in text):
            raise ValueError(f"{text!r} is not one origin: list each by itself")
        parsed = parse_origin(text.replace(_SUBDOMAINS, "://", 1))
        if text == NULL:
            self._null = True
        elif parsed is None or parsed.port > 65535:
            raise ValueError(f"{text!r} is not an origin: {_advice(text)}")
        elif _SUBDOMAINS in text:
            self._domains.append(parsed)
        else:
            self._origins.add(parsed)

    def _is_below(self, origin: WebOrigin) -> bool:
        """Whether an origin is of a subdomain, which the domain itself is not."""
        return any(
            origin.host.endswith(f".{domain.host}") and origin == domain._replace(host=origin.host)
            for domain in self._domains
        )


def parse_origin(text: str) -> WebOrigin | None:
    """Return the origin that ``text`` spells, or None if it spells none (RFC 6454, section 6.2)."""
    match = _ORIGIN.fullmatch(text.lower())
    if match is None or not text.isascii():
        return None
    scheme, host, port = match["scheme"], match["host"], match["port"]
    return WebOrigin(scheme, host, int(port) if port else DEFAULT_PORTS.get(scheme, 0))


def same_origin(origin: str, site: Site) -> bool:
    """Whether a page of ``origin`` was loaded from ``site`` itself.

    A page that came in clear text is a stranger to a site that is known to speak TLS: anybody on
    the way could have written it.
    """
    parsed, match = parse_origin(origin), _HOST.fullmatch(site.host.lower())
    if parsed is None or match is None or parsed.scheme not in ("http", "https"):
        return False
    if site.secure and parsed.scheme != "https":
        return False
    port = int(match["port"]) if match["port"] else DEFAULT_PORTS[parsed.scheme]
    return (parsed.host, parsed.port) == (match["host"], port)


def site_of(headers: Mapping[str, str], *, tls: bool, forwarded: str | None = None) -> Site:
    """Return what the client that sent ``headers`` calls this server.

    Args:
        headers: Names in lower case.
        tls: Whether the request came by TLS.
        forwarded: The header by which a trusted proxy speaks for the client, as in
            `client_behind`; None if no such proxy sent the request.
    """
    host = headers.get("host", "")
    if forwarded is None:
        return Site(host, tls)
    scheme, asked = forwarded_site(headers, forwarded)
    return Site(asked or host, tls if not scheme else scheme in ("https", "wss"))


def _advice(text: str) -> str:
    if text == "*":
        return "every page of the world could act for your users; list those that may"
    if "://" not in text:
        return f"write its scheme too, such as 'https://{text}'"
    if not text.isascii():
        return "write it as browsers send it, in ASCII (xn--…)"
    return "write scheme, host and port alone, such as 'https://chat.example.org'"
