"""What an application's own functions may call, but what is not theirs to end: the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_exit() -> Iterator[None]:
    """Have a ``sys.exit()`` in a nursery be what it is outside of one: a mistake of a handler.

    A nursery raises it in a `BaseExceptionGroup`, which nobody who handles errors would catch.

    Raises:
        SystemExit: The group holds one, and else nothing but errors.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        if isinstance(group, ExceptionGroup) or group.split((Exception, SystemExit))[1]:
            raise
        raise SystemExit("in a nursery") from group
