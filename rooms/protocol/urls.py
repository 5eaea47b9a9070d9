"""URLs that may hold a password, as they may be shown."""

from __future__ import annotations

import re

_LOGIN = re.compile(r"(?<=://)(?:([^:@/]*:).*|[^:@/]+)@")


def hide_password(url: str) -> str:
    """Return ``url`` with dots for its password, which may stand there without a user."""
    return _LOGIN.sub(lambda login: f"{login[1] or ''}…@", url)
