"""URLs that may hold a password, as they may be shown."""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(?<=://)([^:@/]*):.*@")


def hide_password(url: str) -> str:
    """Return ``url`` with dots for its password."""
    return _PASSWORD.sub(r"\1:…@", url)
