"""Errors inside the groups that nurseries make of them."""

from __future__ import annotations


def root_of(error: BaseException) -> BaseException:
    """Return an error itself, or the first one in the groups that nurseries have made of it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
