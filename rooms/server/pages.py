"""An application's own pages and endpoints, beside its rooms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

RESERVED = ("/api", "/metrics", "/static")
"""What the server answers itself: a path that is one of these, or below it, is not free."""


@dataclass(frozen=True, slots=True)
class Route:
    """A function that answers requests for a path."""

    rule: str
    function: Callable[..., Any]
    methods: tuple[str, ...]


class Pages:
    """What an application serves over HTTP: ``@app.http.get("/hello/<name>")``.

    Functions are Quart's views, with Quart's rules for paths and for what they return, and run on
    the server's own loop, so ``await app.room("news").publish(…)`` is all it takes to publish.

    Attributes:
        folder: Files that are served below ``/``; ``index.html`` is ``/``.
        routes: The functions.
        blueprints: Quart's blueprints, each with the prefix of its paths.
        shows_chat: Whether ``/`` is the built-in chat.
        sign_in: The path of the application's own page for signing in, if it has one.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = None if folder is None else Path(folder)
        self.routes: list[Route] = []
        self.blueprints: list[tuple[Any, str | None]] = []
        self.shows_chat = False
        self.sign_in: str | None = None

    def chat(self, *, sign_in: str | None = None) -> None:
        """Serve the built-in chat's page at ``/``; its rooms take an application that relays.

        Args:
            sign_in: The path of the application's own page for signing in.  The chat leads there
                with ``?next=`` and where to come back to, a path; without it, it asks for a token.

        Raises:
            ValueError: The path is the server's own.
        """
        self.shows_chat = True
        self.sign_in = None if sign_in is None else check_path(sign_in)

    def route(self, rule: str, methods: Sequence[str] = ("GET",)) -> Callable[[F], F]:
        """Register a function that answers requests for a path.

        Raises:
            ValueError: The path is the server's own, or taken with one of these methods.
        """
        wanted = tuple(method.upper() for method in methods)

        def register(function: F) -> F:
            self._add(Route(check_path(rule), function, wanted))
            return function

        return register

    def get(self, rule: str) -> Callable[[F], F]:
        """Register a function that answers GET requests for a path; see `route`."""
        return self.route(rule)

    def post(self, rule: str) -> Callable[[F], F]:
        """Register a function that answers POST requests for a path; see `route`."""
        return self.route(rule, ("POST",))

    def register_blueprint(self, blueprint: Any, url_prefix: str | None = None) -> None:
        """Serve what a `quart.Blueprint` holds.

        Args:
            url_prefix: Goes before its paths; the blueprint's own prefix if not given.

        Raises:
            ValueError: The prefix is one of the server's own paths.
        """
        prefix = url_prefix if url_prefix is not None else blueprint.url_prefix
        if prefix:
            check_path(prefix)
        self.blueprints.append((blueprint, url_prefix))

    def include(self, other: Pages) -> None:
        """Take over what ``other`` serves.

        Raises:
            ValueError: Both serve the same path, or a folder.
        """
        for route in other.routes:
            self._add(route)
        self.blueprints += other.blueprints
        self.shows_chat = self.shows_chat or other.shows_chat
        self.sign_in = self.sign_in or other.sign_in
        if other.folder is not None:
            if self.folder not in (None, other.folder):
                raise ValueError(f"both {self.folder} and {other.folder} are to be served at /")
            self.folder = other.folder

    def _add(self, route: Route) -> None:
        for taken in self.routes:
            if taken.rule == route.rule and set(taken.methods) & set(route.methods):
                raise ValueError(f"{route.rule!r} has a function already")
        self.routes.append(route)


def check_path(path: str) -> str:
    """Return ``path`` if an application can have it.

    Raises:
        ValueError: It cannot; the message says why.
    """
    if not path.startswith("/"):
        raise ValueError(f"{path!r} must begin with a slash")
    for reserved in RESERVED:
        if path == reserved or path.startswith(reserved + "/"):
            raise ValueError(f"{path!r} is the server's own: choose a path outside {reserved}")
    return path
