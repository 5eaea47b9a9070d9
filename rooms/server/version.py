"""Which version of this package runs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def rooms_version() -> str:
    """Return the version of this package that is installed."""
    try:
        return version("rooms")
    except PackageNotFoundError:
        return "0"
