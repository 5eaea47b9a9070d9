"""``rooms gateway``: a server that passes all its WebSocket connections on to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
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
@click.option("--to", "url", required=True, metavar="URL", help="ws://… or wss://…")
@click.option(
    "--pass-header",
    "headers",
    multiple=True,
    metavar="NAME",
    default=("user-agent", "accept-language"),
    help="A header of the request that the upstream gets; may be given again.",
)
@setting_options
def gateway(url: str, headers: tuple[str, ...], **flags: Any) -> None:
    """Pass WebSocket connections on to the server at URL, messages and goodbyes both ways.

    Without a path in URL the client's own path and query are asked for there.  In a path {+path}
    and {query} stand for them.  The upstream learns from X-Forwarded-For who the client is, and
    from X-Rooms-User, signed with the setting gateway_secret, who has signed in.
    """

    def make(loaded: Loaded) -> App:
        return gateway_app(url, headers)

    start(make, flags)


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
