"""Which of an application's own endpoints a path is for."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, unquote

from rooms.protocol.dialects import DIALECTS
from rooms.protocol.dialects.base import Dialect
from rooms.protocol.paths import PARAMETER, PathPattern

if TYPE_CHECKING:
    from rooms.server.websocket import WebSocket

WebSocketHandler = Callable[["WebSocket"], Awaitable[None]]
W = TypeVar("W", bound=WebSocketHandler)

Shape = tuple[tuple[int, str], ...]
"""Of each segment, whether it is plain text, has a parameter or takes the rest, and its text."""


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint of an application's own.

    Attributes:
        path: As it was written, a `PathPattern`'s.
        pattern: The same as paths come, percent-encoded.
        accept: Whether the connection is accepted before the handler runs.
        subprotocols: Those it speaks, for a client that offers one of them.
    """

    path: str
    pattern: PathPattern
    handler: WebSocketHandler
    accept: bool
    subprotocols: tuple[str, ...]


class Routes:
    """The endpoints of one application; of those that match a path the most specific is found.

    Args:
        dialects: Those of the application; their paths, and those of all that come with Rooms,
            cannot be taken.
    """

    def __init__(self, dialects: Iterable[Dialect] = ()) -> None:
        spoken = [*dialects, *(each for several in DIALECTS.values() for each in several)]
        self._taken = {_shape(path): path for dialect in spoken for path in dialect.paths}
        self._routes: dict[Shape, Route] = {}

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes.values())

    async def problem(self) -> str | None:
        """Return what keeps an endpoint from being served elsewhere, if one is: a gateway's."""
        for route in self:
            ask = getattr(route.handler, "problem", None)
            if ask is not None and (problem := await ask()) is not None:
                return f"the upstream of {route.path} is away: {problem}"
        return None

    def websocket(
        self, path: str, *, accept: bool = True, subprotocols: Sequence[str] = ()
    ) -> Callable[[W], W]:
        """Register the handler of an endpoint of its own: ``@app.websocket("/echo/{name}")``.

        It gets a `WebSocket`, speaks whatever it wants, and the connection is closed when it
        returns: with 1000, or with 1011 if it raises.  Origin, authentication, limits, heartbeat
        and drain are those of the rooms.

        Args:
            path: ``{name}`` stands for one segment, ``{+name}`` at the end for all that is left.
                Of several that match, the one with most of its beginning in plain text is meant.
            accept: Accept the connection before the handler runs; without it the handler calls
                `WebSocket.accept` or `WebSocket.reject`, within ``head_seconds``.
            subprotocols: Those that the endpoint speaks; the one that the client wants most is
                selected.

        Raises:
            TypeError: The handler is not asynchronous.
            ValueError: The path is none, or is taken.
        """

        def register(handler: W) -> W:
            wanted = accept and getattr(handler, "accept", True)  # a gateway decides for itself
            pattern = PathPattern(_encoded(path))
            self.add(Route(path, pattern, handler, wanted, tuple(subprotocols)))
            return handler

        return register

    def add(self, route: Route) -> None:
        """Have ``route`` be found from now on.

        Raises:
            TypeError: Its handler is not asynchronous.
            ValueError: Another endpoint or a dialect has that path.
        """
        call = getattr(route.handler, "__call__", None)  # noqa: B004  # of an object, its method
        if not inspect.iscoroutinefunction(route.handler) and not inspect.iscoroutinefunction(call):
            raise TypeError(f"the handler of {route.path!r} must be an async function")
        shape = _shape(route.path)
        if shape in self._taken:
            raise ValueError(f"{route.path!r} and {self._taken[shape]!r} are the same path")
        self._taken[shape] = route.path
        self._routes = dict(sorted({**self._routes, shape: route}.items()))

    def find(self, raw_path: str) -> tuple[Route, dict[str, str]] | None:
        """Return whom a path is for, with its parameters as they came.

        Args:
            raw_path: What an escaped ``/`` is part of is one segment.
        """
        if not self._routes:
            return None
        try:
            path = _encoded(raw_path)
        except UnicodeDecodeError:
            return None
        for route in self._routes.values():
            found = route.pattern.match(path)
            if found is not None:
                return route, dict(route.pattern.match(raw_path) or found)
        return None


def _encoded(path: str) -> str:
    """Return a path in which equal segments are written equally (RFC 3986, section 6.2.2)."""
    return "/".join(quote(unquote(each, errors="strict"), safe="{+}") for each in path.split("/"))


def _shape(path: str) -> Shape:
    return tuple(_segment(PARAMETER.sub(r"{\1}", each)) for each in path.split("/"))


def _segment(text: str) -> tuple[int, str]:
    return ("{" in text) + ("{+" in text), unquote(text)
