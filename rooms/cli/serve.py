"""``rooms serve``: one port for the chat, the WebSockets and the admin API."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click
import msgspec

from rooms.config import (
    ENVIRONMENT_PREFIX,
    FILE_NAME,
    SECRETS,
    Loaded,
    Settings,
    load_here,
    unknown_variables,
)
from rooms.core.groups import root_of
from rooms.errors import ConfigError
from rooms.protocol.urls import hide_password
from rooms.server.admin_settings import has_admin_tokens

if TYPE_CHECKING:
    from rooms.cli.worker import Orders
    from rooms.server.app import App
    from rooms.serving import Server

F = TypeVar("F", bound=Callable[..., Any])

HELP = {
    "host": "Address to listen on.",
    "port": "Port to listen on; 0 takes any that is free.",
    "reuse_port": "Share the port with other servers, so that a new one can take over.",
    "workers": "Processes that share the port; more than 1 need a broker that connects them.",
    "http": "Whether there are pages and an admin API beside the WebSockets.",
    "certfile": "Certificate chain (PEM): the port then speaks TLS.",
    "keyfile": "Private key (PEM), if it is not in the certificate's file.",
    "hsts_seconds": "Time for which browsers are told to come by TLS alone; 0 does not tell them.",
    "client_ca": "Who signs the certificates of clients (PEM).",
    "client_certificates": "Whether clients show one: off, optional or required.",
    "admin_token": "Bearer token of the admin API; without one it is made and printed.",
    "admin_token_file": "File that holds the admin token.",
    "admin_tokens": "More such tokens, as `rooms admin-token` prints them, by commas.",
    "admin_tokens_file": "File with one of them a line.",
    "ws_bind": "Take WebSockets there too, without pages: ADDRESS:PORT or unix:PATH.",
    "admin_bind": "Have the admin API and /metrics there alone: ADDRESS:PORT or unix:PATH.",
    "admin_session_seconds": "Time for which a sign-in to the admin pages lasts.",
    "gateway_secret": "Secret that a gateway signs users with, for its upstream (HS256).",
    "gateway_secret_file": "File that holds that secret.",
    "jwt_secret": "Secret that tokens of users are signed with (HS256, HS384, HS512).",
    "jwt_secret_file": "File that holds that secret: who signs in needs a token then.",
    "jwt_key_file": "File of the public keys (PEM, or a key set) of who makes tokens, instead.",
    "jwks_url": "URL of the key set (JWKS) of who makes tokens, instead.",
    "jwt_algorithms": "Algorithms that tokens may use, by commas, of those the keys allow.",
    "jwt_audience": "Whom tokens must be for, one of these, by commas.",
    "jwt_issuer": "Who tokens must be from, one of these, by commas.",
    "jwt_leeway": "Seconds by which clocks may differ.",
    "jwt_required": "Claims that tokens must have, by commas; without exp some hold for ever.",
    "metrics": "Who may read /metrics: token (who has the admin token), open (anybody) or off.",
    "log_level": "Least level that is logged: debug, info, warning or error.",
    "log_format": "How logs look: console or json.",
    "origins": "Other origins whose pages may connect, by commas; https://*.example.org too.",
    "origin_required": "Refuse WebSockets without an Origin header: all but browsers.",
    "cors_origins": "Origins whose pages may read the HTTP API (CORS), by commas.",
    "dialects": "What clients may speak, by commas, if not what the application says.",
    "broker": "Where rooms are kept: memory://, sqlite:///FILE, or redis://HOST for several nodes.",
    "broker_file": "File that holds the broker's URL, for one with a password.",
    "broker_seconds": "Time to wait for a broker that is away, or in use by another server.",
    "message_bytes": "Largest message a client may send.",
    "rooms_per_client": "Most rooms one connection may be in.",
    "filters_per_client": "Most filters one connection may subscribe to.",
    "fragments_per_message": "Most fragments of one message.",
    "connections": "Most connections; 0 takes as many as file descriptors allow.",
    "connections_per_address": "Most connections of one address or IPv6 /64; 0 sets no limit.",
    "connections_per_user": "Most connections of one user; 0 sets no limit.",
    "handshakes_per_address": "New connections a second of one address; 0 sets no limit.",
    "pending_handshakes": "Most connections that have not asked for anything yet.",
    "lag_seconds": "Lateness of the event loop from which on no WebSocket is let in.",
    "trusted_proxies": "Addresses and networks of proxies whose word counts, by commas.",
    "forwarded_header": "Where they name the client: x-forwarded-for or forwarded.",
    "proxy_protocol": "Whether they begin each connection with a PROXY protocol header.",
    "rate_messages": "Messages a second that one connection may send; 0 sets no limit.",
    "rate_bytes": "Bytes a second that one connection may send; 0 sets no limit.",
    "rate_joins": "Rooms a second that one connection may join; 0 sets no limit.",
    "rate_burst_seconds": "Seconds' worth of a rate that may come at once.",
    "headers_per_request": "Most headers of a request.",
    "head_bytes": "Largest request head.",
    "auth_seconds": "Time a client has to sign in, and a check of its token may take.",
    "ticket_seconds": "How long a one-time ticket is good for.",
    "revocation_seconds": "How long revoked tokens are remembered whose end is not known.",
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
    "write_seconds": "A client that takes nothing of what waits for it so long is cut.",
    "inbox_messages": "Most messages of one client that wait for its handlers.",
    "errors_in_a_row": "Mistakes without a valid message between them that end a connection.",
    "close_seconds": "Time a client has for the closing handshake.",
    "disconnected_seconds": "Time the `disconnected` handlers have.",
    "drain_seconds": "Time over which many clients are sent away when the server is terminated.",
    "grace_seconds": "Time for what is under way, and for goodbyes, when the server stops.",
}


class Run(NamedTuple):
    """What a server is started with.

    Attributes:
        chat: Whether it is the built-in chat, with its page.
        orders: What it was told, if it is one of several.
    """

    flags: dict[str, Any]
    loaded: Loaded
    chat: bool
    orders: Orders | None

    def inherited(self) -> socket.socket | None:
        """Return the socket that this process was handed over, if it was."""
        from rooms.server.sockets import inherited_socket

        if self.orders is not None:
            return socket.socket(fileno=self.orders.listen)
        return inherited_socket(os.environ)


def setting_options(command: F, names: Collection[str] = Settings.__struct_fields__) -> F:
    """Add an option for every setting, by the same name, but none that would take a secret."""
    for field in reversed(msgspec.structs.fields(Settings)):
        if field.name not in names:
            continue
        name = field.name.replace("_", "-")
        option = f"--{name}"
        if field.name in SECRETS:
            command = _no_option(option)(command)
            continue
        default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        shown = f" [default: {default}]" if default != "" else ""
        switch: dict[str, Any] = {"metavar": "VALUE"}
        if field.type is bool:
            option, switch, shown = f"--{name}/--no-{name}", {"default": None}, ""
        if field.name == "broker":
            switch["callback"] = _without_password
        command = click.option(option, help=HELP[field.name] + shown, **switch)(command)
    return command


def _no_option(option: str) -> Callable[[F], F]:
    """Say where to put a secret to who would show it to everybody that can list processes."""

    def complain(_ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
        if value is not None:
            raise _exposed(option, "is")

    return click.option(option, hidden=True, expose_value=False, callback=complain)


def _without_password(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> str | None:
    """Take a broker's URL, but for one that is a secret."""
    if value is not None and hide_password(value) != value:
        raise _exposed("--broker", "with a password is")
    return value


def _exposed(option: str, what: str) -> click.UsageError:
    variable = ENVIRONMENT_PREFIX + option[2:].replace("-", "_").upper()
    return click.UsageError(
        f"Everybody on this machine can read a command line, so {option} {what} not taken: "
        f"use {option}-file, {variable} or {FILE_NAME}."
    )


@click.command()
@click.argument("application", metavar="[MODULE:APP]", required=False)
@click.option("--reload", is_flag=True, help="Start again whenever a file here changes.")
@setting_options
def serve(application: str | None, reload: bool, **flags: Any) -> None:
    """Serve MODULE:APP, or without it the built-in chat.

    Every option can also be set in rooms.toml or as ROOMS_… in the environment: --log-level is
    log_level there and ROOMS_LOG_LEVEL here.

    SIGTERM sends clients away over --drain-seconds and finishes what is under way, Ctrl-C stops
    quickly, and the second signal at once.  SIGHUP loads the settings and certificates again.
    With --workers the signals reach all of them.
    """
    if application is None:
        start(_chat, flags, chat=True, reload=reload)
    else:
        start(partial(_load, application), flags, reload=reload)


MakeApp = Callable[[Loaded], "App"]
"""Makes the application of settings that are loaded."""


def start(
    make: MakeApp, flags: dict[str, Any], *, chat: bool = False, reload: bool = False
) -> None:
    """Serve an application until it is to stop, by as many processes as the settings say.

    Args:
        chat: Whether it is the built-in chat, with its page.
        reload: Whether to start again whenever a file here changes.
    """
    try:
        _start(make, flags, chat=chat, reload=reload)
    except ConfigError as error:
        click.echo(f"rooms: {error}", err=True)
        raise SystemExit(2) from None


def _start(make: MakeApp, flags: dict[str, Any], *, chat: bool, reload: bool) -> None:
    import structlog

    from rooms import logs
    from rooms.cli.worker import take_orders

    orders = take_orders(os.environ)
    if orders is not None:
        flags = flags | orders.settings
    loaded = load_here(flags)
    logs.configure(loaded.settings.log_level, loaded.settings.log_format)
    if orders is None and (unknown := unknown_variables(os.environ)):
        structlog.get_logger("rooms").warning("unknown in the environment", variables=unknown)
    if orders is None and (reload or loaded.settings.workers > 1):
        from rooms.cli.supervise import supervise

        raise SystemExit(supervise(loaded.settings, chat=chat, reload=reload))
    _serve_alone(make, Run(flags, loaded, chat, orders))


def _serve_alone(make: MakeApp, run: Run) -> None:
    """Serve in this process, whether there are others or not."""
    import trio

    from rooms.server.descriptors import raise_descriptors

    app = make(run.loaded)
    raise_descriptors()
    _tune_garbage_collector()
    trio.run(_run, app, run, strict_exception_groups=True)


def _load(application: str, loaded: Loaded) -> App:
    from rooms.cli.load import load_app

    return load_app(application)


def _chat(loaded: Loaded) -> App:
    """Return the built-in chat; what an operator says of its history outweighs its own wish."""
    from rooms.chat import KEPT_MESSAGES, KEPT_SECONDS, chat_app

    said = loaded.sources
    return chat_app(
        None if "history_messages" in said else KEPT_MESSAGES,
        None if "history_seconds" in said else KEPT_SECONDS,
    )


def _tune_garbage_collector() -> None:
    """Collect rarely, and never what was loaded to start with.

    A connection is some hundred objects that live long; walking them all again and again doubles
    the cost of setting connections up.  The hot path makes no garbage in cycles.
    """
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def _run(app: Any, run: Run) -> None:
    import trio

    from rooms.cli.reload import reloader
    from rooms.cli.signals import Signals, dies_with_terminal, handled
    from rooms.cli.worker import report
    from rooms.serving import serve as serve_app

    obedient = Signals(reloader(run.flags), bound=dies_with_terminal())
    settings = run.loaded.settings
    mistake: BaseException | None = None
    with trio.open_signal_receiver(*handled()) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(obedient.obey, signals, nursery.cancel_scope)
            try:
                sock = run.inherited()
                async with serve_app(app, settings, chat_page=run.chat, sock=sock) as server:
                    if run.orders is None:
                        _announce(server, run.loaded, run.chat)
                    else:
                        nursery.start_soon(report, run.orders)
                    await obedient.watch(server)
            except* ConfigError as group:  # whatever nursery it went through
                mistake = root_of(group)
            nursery.cancel_scope.cancel()
    if mistake is not None:
        raise mistake


def _announce(server: Server, loaded: Loaded, chat_page: bool) -> None:
    what = "chat" if chat_page else "server"
    click.echo(f"Rooms {what} on {server.url}  (Ctrl-C stops it)")
    if loaded.settings.ws_bind:
        click.echo(f"WebSockets also on {server.websocket_url}")
    if not loaded.settings.http:
        return
    if loaded.settings.admin_bind:
        click.echo(f"Admin API on {server.admin_url}")
    if server.settings.admin_token and not has_admin_tokens(loaded.settings):
        click.echo(f"Admin API token, made for this run: {server.settings.admin_token}")
