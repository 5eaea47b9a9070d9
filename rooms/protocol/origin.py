"""Which pages may open a WebSocket here (RFC 6455, section 10.2)."""

from __future__ import annotations

from collections.abc import Sequence


def origin_allowed(origin: str | None, host: str, listed: Sequence[str]) -> bool:
    """Whether a request may come from a page of ``origin``.

    Args:
        origin: The ``Origin`` header; without one it is no browser, which is allowed.
        host: The ``Host`` header: a page that was loaded from there is allowed, whatever the
            scheme, which a proxy before us may have changed.
        listed: Further origins that are allowed, such as ``https://chat.example.org``.
    """
    if origin is None or origin in listed:
        return True
    return origin.lower().partition("://")[2] == host.lower() != ""
