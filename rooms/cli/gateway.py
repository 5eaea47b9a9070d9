"""``rooms gateway``: a server that passes all its WebSocket connections on to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import urlsplit

import click

from rooms.cli.serve import setting_options, start
from rooms.config import Loaded
from rooms.errors import ConfigError

if TYPE_CHECKING:
    from rooms.server.app import App

EVERYTHING = "{+path}?{query}"
"""Has each path lead to the same one of the upstream."""


@click.command()
@click.option("--to", "url", metavar="URL", help="ws://… or wss://…")
@click.option(
    "--to-file",
    "file",
    type=click.File(encoding="utf-8"),
    metavar="FILE",
    help="A file that holds the URL: everybody on this machine can read a command line.",
)
@click.option(
    "--pass-header",
    "headers",
    multiple=True,
    metavar="NAME",
    default=("user-agent", "accept-language"),
    help="A header of the request that the upstream gets; may be given again.",
)
@setting_options
def gateway(url: str | None, file: TextIO | None, headers: tuple[str, ...], **flags: Any) -> None:
    """Pass WebSocket connections on to the server at URL, messages and goodbyes both ways.

    Without a path in URL the client's own path and query are asked for there.  In a path {+path}
    and {query} stand for them.  The upstream learns from X-Forwarded-For who the client is, and
    from X-Rooms-User, signed with the setting gateway_secret, who has signed in.
    """

    upstream = _upstream(url, file)

    def make(loaded: Loaded) -> App:
        return gateway_app(upstream, headers)

    start(make, flags)


def _upstream(url: str | None, file: TextIO | None) -> str:
    """Return the URL that is given in one of two ways."""
    if bool(url) == (file is not None):
        raise click.UsageError("Say where to: --to URL, or --to-file FILE.")
    if file is None:
        return url or ""
    try:
        url = file.read().strip()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"--to-file is no text: {error}.") from None
    if not url:
        raise click.UsageError("--to-file is empty: it must hold the URL.")
    return url


def gateway_app(url: str, headers: tuple[str, ...]) -> App:
    """Return an application that passes on whatever it is asked for.

    Raises:
        ConfigError: The URL, or a header, cannot be used.
    """
    from rooms.server.app import App
    from rooms.server.gateway import Gateway

    if urlsplit(url).path in ("", "/") and not urlsplit(url).query:
        url = f"{url.rstrip('/')}/{EVERYTHING}"
    app = App(dialects=[])
    try:
        handler = Gateway(url, headers=headers)
    except ValueError as error:
        raise ConfigError(f"--to cannot be used: {error}.") from None
    for path in ("/", "/{+path}"):
        app.websocket(path)(handler)
    return app
