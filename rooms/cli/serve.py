"""``rooms serve``: one port for the chat, the WebSockets and the admin API."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from rooms.config import FILE_NAME, Loaded, Settings, load
from rooms.errors import ConfigError

if TYPE_CHECKING:
    from rooms.serving import Server

F = TypeVar("F", bound=Callable[..., Any])

HELP = {
    "host": "Address to listen on.",
    "port": "Port to listen on; 0 takes any that is free.",
    "certfile": "Certificate chain (PEM): the port then speaks TLS.",
    "keyfile": "Private key (PEM), if it is not in the certificate's file.",
    "admin_token": "Bearer token of the admin API; without one it is made and printed.",
    "admin_token_file": "File that holds the admin token.",
    "broker": "Where rooms are kept: memory:// or, to outlive the server, sqlite:///FILE.",
    "log_level": "Least level that is logged: debug, info, warning or error.",
    "log_format": "How logs look: console or json.",
    "origins": "Other origins whose pages may connect, separated by commas.",
    "message_bytes": "Largest message a client may send.",
    "rooms_per_client": "Most rooms one connection may be in.",
    "filters_per_client": "Most filters one connection may subscribe to.",
    "head_bytes": "Largest request head.",
    "head_seconds": "Time a client has for its request and handshake.",
    "ping_seconds": "Time between two pings of a connection.",
    "pong_seconds": "Time a client has to answer a ping.",
    "presence_seconds": "Changes of presence within this time are told together.",
    "presence_grace": "Time for which a user who lost the connection is not said to have left.",
    "history_messages": "Most publications that are kept of a room; 0 keeps none.",
    "history_seconds": "Time for which a publication is kept.",
    "recovery_messages": "Most publications that a client is told when it comes back.",
    "recovery_bytes": "Most bytes of payloads that it is told then.",
    "outbox_bytes": "Most bytes that wait for one client before it is cut off as too slow.",
    "outbox_writes": "Most writes that wait for one client.",
    "inbox_messages": "Most messages of one client that wait for its handlers.",
    "errors_in_a_row": "Mistakes without a valid message between them that end a connection.",
    "close_seconds": "Time a client has for the closing handshake.",
    "disconnected_seconds": "Time the `disconnected` handlers have.",
    "grace_seconds": "Time for goodbyes when the server stops.",
}


def setting_options(command: F) -> F:
    """Add an option for every setting, by the same name."""
    for field in reversed(msgspec.structs.fields(Settings)):
        option = "--" + field.name.replace("_", "-")
        default = ",".join(field.default) if field.name == "origins" else field.default
        shown = f" [default: {default}]" if default != "" else ""
        command = click.option(option, metavar="VALUE", help=HELP[field.name] + shown)(command)
    return command


@click.command()
@click.argument("application", metavar="[MODULE:APP]", required=False)
@setting_options
def serve(application: str | None, **flags: Any) -> None:
    """Serve MODULE:APP, or without it the built-in chat.

    Every option can also be set in rooms.toml or as ROOMS_… in the environment: --log-level is
    log_level there and ROOMS_LOG_LEVEL here.
    """
    try:
        _serve(application, flags)
    except ConfigError as error:
        click.echo(f"rooms: {error}", err=True)
        raise SystemExit(2) from None


def _serve(application: str | None, flags: dict[str, Any]) -> None:
    import trio

    from rooms import logs
    from rooms.chat import chat_app
    from rooms.cli.load import load_app

    file = Path(FILE_NAME)
    loaded = load(flags, os.environ, file if file.exists() else None)
    logs.configure(loaded.settings.log_level, loaded.settings.log_format)
    app = load_app(application) if application else chat_app()
    _tune_garbage_collector()
    trio.run(_run, app, loaded, application is None, strict_exception_groups=True)


def _tune_garbage_collector() -> None:
    """Collect rarely, and never what was loaded to start with.

    A connection is some hundred objects that live long; walking them all again and again doubles
    the cost of setting connections up.  The hot path makes no garbage in cycles.
    """
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def _run(app: Any, loaded: Loaded, chat_page: bool) -> None:
    import signal

    import trio

    from rooms.serving import serve as serve_app

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with serve_app(app, loaded.settings, chat_page=chat_page) as server:
            _announce(server, loaded, chat_page)
            async for _ in signals:
                break


def _announce(server: Server, loaded: Loaded, chat_page: bool) -> None:
    what = "chat" if chat_page else "server"
    click.echo(f"Rooms {what} on {server.url}  (Ctrl-C stops it)")
    if not loaded.settings.admin_token and not loaded.settings.admin_token_file:
        click.echo(f"Admin API token, made for this run: {server.settings.admin_token}")
