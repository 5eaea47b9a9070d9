"""URLs as they may be shown: one may hold a password or a token; and the hosts in them."""

from __future__ import annotations

import re

_LOGIN = re.compile(r"(?<=://)(?:([^:@/]*:).*|[^:@/]+)@")


def hide_password(url: str) -> str:
    """Return ``url`` with dots for its password, which may stand there without a user."""
    return _LOGIN.sub(lambda login: f"{login[1] or ''}…@", url)


def hide_secrets(url: str) -> str:
    """Return ``url`` without its password, and with dots for its query, which may hold a token."""
    shown, query, _ = hide_password(url).partition("?")
    return f"{shown}?…" if query else shown


def bracketed(host: str) -> str:
    """Return a host as it stands before a port: an IPv6 address in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]" if ":" in host else host
