"""Passes WebSocket connections on to another server."""

from __future__ import annotations

import math
import re
import ssl
import time
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import structlog
import trio

from rooms.errors import Disconnect
from rooms.protocol.client_handshake import BadAnswer, parse_address
from rooms.protocol.frames import BINARY, CONTINUATION, TEXT
from rooms.protocol.http import BadHead, check_header
from rooms.protocol.paths import PARAMETER
from rooms.protocol.urls import hide_secrets
from rooms.server.tokens.upstream import checked_secret, gateway_secret, signed_user
from rooms.server.wire import Wire
from rooms.transports.client import Connected, connect, open_link
from rooms.transports.endpoint import Endpoint

if TYPE_CHECKING:
    from rooms.config import Settings
    from rooms.server.websocket import WebSocket

CHECK_SECONDS = 5.0
"""What is known of an upstream is believed for so long before it is asked again."""

CHECK_TIMEOUT = 2.0
"""How long that may take."""

PATIENCE = 1.5
"""How long each step takes at most once an end has left: the other gets what came before that, then
the upstream is told goodbye, then the client.  So nothing is left after 5 seconds, whatever it was
that died and whoever does not answer."""

GOING_AWAY, BAD_GATEWAY = 1001, 1014
"""What one end is told when the other did not say why it left."""

_PATH_SAFE = "!$&'()*+,;=:@"
_QUERY_SAFE = "%&=+/?:@!$'()*,;-._~"
"""What a path's segment and a query may hold as it is (RFC 3986, sections 3.3 and 3.4)."""

log = structlog.get_logger("rooms")


class Gateway:
    """The handler of an endpoint that is somewhere else: ``app.websocket(path)(Gateway(url))``.

    The upstream is connected before the client is accepted: who cannot reach it gets 502, or 504
    if that took too long.  Messages pass in both directions while they arrive, each end as fast
    as the other reads; either end's leaving, with code and reason, ends the other.

    Args:
        url: ``ws://`` or ``wss://``.  In its path and query ``{name}`` stands for the path's or
            query's parameter of that name, ``{+name}`` for one whose slashes stay, and
            ``{query}`` for the whole query; what is escaped stays so.
        headers: The request's headers that are passed on as they are.
        user_header: Who is signed in is said in this one: a JSON Web Token, signed (HS256) with
            ``secret``.
        secret: At least 32 bytes; if not given, the setting ``gateway_secret``.  Without one
            nothing is said of users.
        connect_seconds: How long the upstream has to accept.
        tls: For ``wss://`` where the system's certificates will not do.

    Raises:
        ValueError: The URL, a header or the secret cannot be used.
    """

    accept = False
    """The endpoint accepts by itself."""

    def __init__(
        self,
        url: str,
        *,
        headers: Sequence[str] = ("user-agent", "accept-language"),
        user_header: str = "X-Rooms-User",
        secret: str = "",
        connect_seconds: float = 5.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._shown = hide_secrets(url)
        self._address = parse_address(url)
        if PARAMETER.search(self._address.authority):
            raise ValueError(f"{self._shown!r}: only path and query can have places to fill in")
        self._headers = tuple(name.lower() for name in headers)
        self._user_header = user_header
        for name in (user_header, *headers):
            check_header(name, "")
            if name.lower().startswith(_HANDSHAKE):
                raise ValueError(f"{name} is the handshake's own, and not passed on")
        if {user_header.lower(), *_OWN_HEADERS} & set(self._headers):
            raise ValueError(f"{user_header}, {', '.join(_OWN_HEADERS)} cannot be a client's own")
        self._secret = checked_secret(secret) if secret else ""
        self._connect_seconds = connect_seconds
        self._tls = tls
        self._problem: str | None = None
        self._checked = -math.inf

    async def __call__(self, ws: WebSocket) -> None:
        """Serve one client."""
        upstream = await self._connect(ws)
        try:
            await self._serve(ws, upstream)
        finally:
            with trio.CancelScope(shield=True):
                await upstream.link.aclose()

    async def problem(self) -> str | None:
        """Return what keeps the upstream from being reached, or None; for readiness."""
        if trio.current_time() - self._checked >= CHECK_SECONDS:
            with trio.move_on_after(CHECK_TIMEOUT) as scope:
                try:
                    await (await open_link(self._address, self._tls)).aclose()
                    self._note(None)
                except (OSError, trio.BrokenResourceError) as error:
                    self._note(f"it cannot be reached ({error})")
            if scope.cancelled_caught:
                self._note("it does not answer")
        return self._problem

    # Connecting.

    async def _connect(self, ws: WebSocket) -> Connected:
        """Connect to the upstream as ``ws`` asks.

        Raises:
            BadHead: It cannot be.
        """
        settings = ws.connection.node.settings
        address = self._address._replace(target=self._target(ws))
        headers = list(self._passed_headers(ws, settings))
        with trio.move_on_after(self._connect_seconds):
            try:
                connected = await connect(
                    address, self._tls, subprotocols=ws.subprotocols, headers=headers
                )
            except (OSError, trio.BrokenResourceError) as error:
                raise self._bad_gateway(f"it cannot be reached ({error})") from error
            except BadAnswer as error:
                raise self._bad_gateway(str(error), lives=True) from error
            except ValueError as error:  # the client's own headers cannot be passed on
                raise BadHead(HTTPStatus.BAD_REQUEST) from error
            self._note(None)
            return connected
        self._note("it does not answer")
        raise BadHead(HTTPStatus.GATEWAY_TIMEOUT, "gateway_timeout")

    def _bad_gateway(self, problem: str, *, lives: bool = False) -> BadHead:
        self._note(None if lives else problem)
        log.warning("upstream refused", upstream=self._shown, problem=problem)
        return BadHead(HTTPStatus.BAD_GATEWAY, "bad_gateway")

    def _note_failure(self, upstream: Endpoint, client: Endpoint) -> None:
        """Say why an upstream is gone if it is its fault that a client had to go."""
        told, reason = client.reason, upstream.reason
        if told is None or told.code != BAD_GATEWAY or reason is None:
            return
        if not (client.ended_by_peer or upstream.ended_by_peer):
            log.warning("upstream lost", upstream=self._shown, problem=reason.reason)

    def _note(self, problem: str | None) -> None:
        self._problem, self._checked = problem, trio.current_time()

    def _target(self, ws: WebSocket) -> str:
        """Return path and query for the upstream.

        Raises:
            BadHead: A parameter would lead somewhere else.
        """
        path, mark, query = self._address.target.partition("?")
        asked = self._filled(path, ws, _PATH_SAFE) + mark + self._filled(query, ws, "")
        return asked.removesuffix("?")

    def _filled(self, text: str, ws: WebSocket, safe: str) -> str:
        """Return ``text`` with each place filled in.

        Args:
            safe: What means nothing there; all else is percent-encoded, if it is not already.
        """
        queried = ws.query_parameters

        def fill(place: re.Match[str]) -> str:
            slashes, name = "/" * len(place[1]), place[2]
            if name not in ws.raw_parameters:
                if name == "query":
                    return quote(ws.query, safe=_QUERY_SAFE, encoding="latin-1")
                return quote(_checked(queried.get(name, "")), safe=slashes)
            value = ws.raw_parameters[name]
            _checked(unquote(value))
            return quote(value, safe=f"%{slashes}{safe}", encoding="latin-1")

        return PARAMETER.sub(fill, text)

    def _passed_headers(self, ws: WebSocket, settings: Settings) -> Iterator[tuple[str, str]]:
        given = ws.headers
        for name in self._headers:
            if name in given:
                yield name, given[name]
        yield "X-Forwarded-For", _host_of(ws.remote)
        yield "X-Forwarded-Host", given.get("host", "")
        secret = self._secret or gateway_secret(settings)
        if ws.user is not None and secret:
            yield self._user_header, signed_user(ws.user, secret, time.time())

    # Passing on.

    async def _serve(self, ws: WebSocket, upstream: Connected) -> None:
        node = ws.connection.node
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()
            wire = Wire(node, upstream.link, nursery, scope, client=True)
            wire.patience = PATIENCE
            wire.start(upstream.extra)
            try:
                with scope:
                    await ws.accept(upstream.subprotocol)
                    assert ws.connection.wire is not None
                    client = ws.connection.wire
                    client.patience = PATIENCE
                    await _pass_both_ways(client.endpoint, wire.endpoint)
                if scope.cancelled_caught:
                    client.end(_told(BAD_GATEWAY))
                self._note_failure(wire.endpoint, client.endpoint)
            finally:
                with trio.CancelScope(shield=True):
                    await wire.farewell(_told(GOING_AWAY))
            nursery.cancel_scope.cancel()


_HANDSHAKE = "sec-websocket-"
"""Begins the names of headers that each handshake has its own of: what one end offers, the other
may not be able to do."""

_OWN_HEADERS = ("host", "connection", "upgrade", "x-forwarded-for", "x-forwarded-host")


async def _pass_both_ways(client: Endpoint, upstream: Endpoint) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_pass_on, client, upstream, GOING_AWAY)
        nursery.start_soon(_pass_on, upstream, client, BAD_GATEWAY)


async def _pass_on(source: Endpoint, sink: Endpoint, otherwise: int) -> None:
    """Pass on what one end sends, and then why it left.

    If it is the other that has left, that is for who passes on what that one sent before.

    Args:
        otherwise: The code for the other end if this one did not say.
    """
    try:
        async with sink.turn:
            await _pass_messages(source, sink)
    except Disconnect:
        if (reason := source.reason) is not None:
            said = source.ended_by_peer
            sink.end(_told(reason.code, reason.reason) if said else _told(otherwise))


async def _pass_messages(source: Endpoint, sink: Endpoint) -> None:
    """Pass on parts of messages until either end has left, and raise its `Disconnect`."""
    inside = False
    while True:
        part = await source.receive_part()
        text = isinstance(part.data, str)
        payload = part.data.encode() if isinstance(part.data, str) else part.data
        if payload or part.last:  # there may be half a character only
            opcode = CONTINUATION if inside else TEXT if text else BINARY
            await sink.write(payload, opcode, fin=part.last)
            inside = not part.last


def _checked(value: str) -> str:
    """Return a parameter.

    Raises:
        BadHead: It would lead somewhere else (RFC 3986, section 5.2.4).
    """
    if {".", ".."} & set(value.split("/")):
        raise BadHead(HTTPStatus.BAD_REQUEST)
    return value


def _told(code: int, reason: str = "") -> Disconnect:
    end = Disconnect.received(code, reason)
    end.reason = reason
    return end


def _host_of(remote: str) -> str:
    """Return an address without its port."""
    if remote.startswith("["):
        return remote[1:].partition("]")[0]
    return remote.rpartition(":")[0] or remote
