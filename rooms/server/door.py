"""Who answers a new connection: reads the first request and decides.

It knows nothing of HTTP servers: it is given a handler for the streams of all requests that are
not a WebSocket's.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import trio

from rooms.core.identity import Identity
from rooms.errors import Refused, RequestError
from rooms.protocol.certificate import Certificate
from rooms.protocol.credentials import without_secrets
from rooms.protocol.dialects import Chosen
from rooms.protocol.dialects.base import Voice
from rooms.protocol.handshake import accept_answer, check_request
from rooms.protocol.http import (
    END_OF_HEAD,
    BadHead,
    RequestHead,
    check_path,
    check_start,
    parse_head,
    response,
)
from rooms.protocol.origin import Site, same_origin, site_of
from rooms.protocol.proxy import BadProxyHeader, client_behind, endpoint_of, parse_proxy_header
from rooms.server.admission import Admission, Visit
from rooms.server.connection import Accepted, serve_websocket
from rooms.server.node import Node
from rooms.server.raw import RawRequest, serve_raw
from rooms.transports.base import Handshake, Link
from rooms.transports.link_stream import LinkStream
from rooms.transports.links import SocketLink, StreamLink
from rooms.transports.replay import ReplayStream
from rooms.transports.stream import FrameStream
from rooms.transports.tls import TlsLink

Opened = Accepted | RawRequest | bytes | None
"""A WebSocket, a request for one that may be accepted, or a request to replay to HTTP's server."""

ServeHttp = Callable[[trio.abc.Stream], Awaitable[None]]

AUTH_SHARE = 0.9
"""Of the time that is left for a handshake, what checking credentials may take of it."""

REFUSAL_SECONDS = 1.0
"""How long a client gets to read why it was refused."""


class Door:
    """Hands WebSocket upgrades to sessions and everything else to ``serve_http``.

    Args:
        serve_http: Gets each stream whose first request is not a WebSocket's; it replays that
            request.  Without it such requests are answered 404.
        admission: As below; the node's if not given.
        websockets: Whether there are any behind this door.

    Attributes:
        admission: Says who gets to the door at all.
    """

    def __init__(
        self,
        node: Node,
        serve_http: ServeHttp | None = None,
        *,
        admission: Admission | None = None,
        websockets: bool = True,
    ) -> None:
        self._node = node
        self._serve_http = serve_http
        self._websockets = websockets
        self.admission = admission or node.admission

    def serve_socket(self, connection: socket.socket, visit: Visit) -> Awaitable[None]:
        """Serve a connected, non-blocking socket; closing it is its owner's."""
        link = SocketLink(connection, self._node.poller)
        return self._serve(link, visit, link.stream)

    def serve_tls(
        self, connection: socket.socket, tls: ssl.SSLContext, visit: Visit
    ) -> Awaitable[None]:
        """Serve a connected socket whose peer is to speak TLS."""
        link = TlsLink(SocketLink(connection, self._node.poller), tls)
        return self._serve(link, visit, lambda: LinkStream(link, connection))

    async def serve_stream(self, stream: trio.abc.Stream, remote: str) -> None:
        """Serve a connection that is any Trio stream, and close it."""
        link = StreamLink(stream)
        visit = self.admission.arrive_unlimited(remote)
        try:
            await self._serve(link, visit, link.stream)
        finally:
            self.admission.leave(visit)

    async def serve_link(self, link: Link, host: str, port: int) -> None:
        """Serve a connection of that address that is nothing but a link, and close it."""
        visit = self.admission.arrive(endpoint_of(host, port))
        if isinstance(visit, BadHead):
            await _refuse(link, visit)
            return
        try:
            await self._serve(link, visit, lambda: LinkStream(link))
        finally:
            self.admission.leave(visit)

    # Every coroutine that waits as long as the connection lasts costs a quarter of a kilobyte, so
    # there are few, and they hold nothing of the request.

    async def _serve(
        self, link: Link, visit: Visit, open_stream: Callable[[], trio.abc.Stream]
    ) -> None:
        try:
            opened = await self._open(link, visit)
            if isinstance(opened, Accepted):
                await serve_websocket(self._node, opened)
            elif isinstance(opened, RawRequest):
                await serve_raw(self._node, opened)
            elif opened is not None and self._serve_http is not None:
                await self._serve_http(ReplayStream(open_stream(), opened, visit.remote))
        finally:
            await _close(link)

    async def _open(self, link: Link, visit: Visit) -> Opened:
        """Return who is to be served, or None if refused."""
        try:
            return await self._answer_in_time(link, visit)
        except BadHead as error:
            if error is not visit.refusal:  # that one has been noted
                self._node.refusals.note(error, visit.remote)
            await _refuse(link, error)
            return None

    async def _answer_in_time(self, link: Link, visit: Visit) -> Opened:
        assert visit.scope is not None
        try:
            with visit.scope:
                return await self._answer(link, visit)
            raise visit.refusal or BadHead(HTTPStatus.REQUEST_TIMEOUT)
        finally:
            self.admission.opened(visit)

    async def _answer(self, link: Link, visit: Visit) -> Opened:
        """Read the first request and decide.

        Raises:
            BadHead: It is malformed, too large or not for this server, or a limit is reached.
        """
        data = await self._secure(link, visit)
        if visit.refusal is not None:
            raise visit.refusal
        raw, extra = await self._read_head(link, data)
        head = parse_head(raw, self._node.settings.headers_per_request)
        if head.is_websocket and self._websockets:
            return await self._accept(head, extra, link, visit)
        if self._serve_http is not None:
            return head.without_upgrade() + extra
        raise BadHead(HTTPStatus.NOT_FOUND)

    async def _secure(self, link: Link, visit: Visit) -> bytes:
        """Get what comes before a request out of the way; returns what was read of it already."""
        if not isinstance(link, TlsLink):
            return await self._read_proxy_header(link, visit)
        await link.shake_hands(await self._read_proxy_header(link.inner, visit))
        return b""

    async def _read_proxy_header(self, link: Link, visit: Visit) -> bytes:
        """Learn from a trusted proxy who the client is; returns what came behind that."""
        data = b""
        if visit.proxy is None or not self._node.settings.proxy_protocol:
            return data
        try:
            while (header := parse_proxy_header(data)) is None:
                data += await _receive(link)
        except BadProxyHeader as error:
            raise BadHead(None, "proxy_protocol") from error
        if header.source is not None:
            self.admission.introduce(visit, header.source)
        return data[header.size :]

    async def _read_head(self, link: Link, data: bytes) -> tuple[bytes, bytes]:
        while (end := data.find(END_OF_HEAD)) < 0:
            if len(data) > self._node.settings.head_bytes:
                raise BadHead(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            data += await _receive(link)
            check_start(data)
        end += len(END_OF_HEAD)
        if end > self._node.settings.head_bytes:
            raise BadHead(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        return data[:end], data[end:]

    async def _accept(
        self, head: RequestHead, extra: bytes, link: Link, visit: Visit
    ) -> Accepted | RawRequest:
        """Accept a WebSocket on a known path, from an origin that may.

        One for an endpoint of the application's own is as good as accepted.

        Raises:
            BadHead: It is refused; nothing of the application has run.
        """
        site = self._look_behind_proxy(head, visit, tls=link.secure)
        check_path(head.raw_path)
        chosen = self._node.dialects.choose(head.path, head.subprotocols)
        found = None if chosen is not None else self._node.app.routes.find(head.raw_path)
        if chosen is None and found is None:
            raise BadHead(HTTPStatus.NOT_FOUND)
        if head.has_body:
            raise BadHead(HTTPStatus.BAD_REQUEST)
        self._check_origin(head, site, visit.remote)
        if self._node.draining:
            raise self.admission.refusal("draining")
        if self._node.overloaded:
            raise self.admission.refusal("overload")
        certificate = link.certificate if isinstance(link, TlsLink) else None
        if found is not None:
            check_request(head)
            handshake, identity = await self._identify(head, visit, certificate)
            self._check_signed_in(identity, visit.remote)
            return RawRequest(link, head, *found, extra, handshake, identity)
        assert chosen is not None
        voice = _open_voice(chosen, head.query)
        settings = self._node.settings
        answer = accept_answer(head, chosen.subprotocol)
        handshake, identity = await self._identify(head, visit, certificate)
        if not chosen.dialect.signs_in:
            self._check_signed_in(identity, visit.remote)
        if voice.name in self._node.names:  # which is not for everybody to know
            raise BadHead(HTTPStatus.CONFLICT)
        self.admission.opened(visit)
        turn = 0 if self._node.gate is None else self._node.gate.turn
        await link.send_all(answer)
        stream = FrameStream(link, settings.message_bytes, settings.fragments_per_message)
        return Accepted(stream, extra, handshake, chosen.dialect, voice, identity, turn)

    def _check_signed_in(self, identity: Identity | None, remote: str) -> None:
        """Let nobody further who has not signed in where one must: there is no ``auth`` to come.

        Raises:
            BadHead: That is so.
        """
        gate = self._node.gate
        if identity is None and gate is not None and not gate.anonymous:
            refused = Refused("Sign in with the request: by a token, a ticket or a cookie.")
            raise self._node.refusals.of_credentials(refused, remote)

    async def _identify(
        self, head: RequestHead, visit: Visit, certificate: Certificate | None
    ) -> tuple[Handshake, Identity | None]:
        """Return what is kept of a request, and whom it proves to be behind it, if anybody.

        Raises:
            BadHead: It proves something wrong, or it takes too long to find out.
        """
        gate = self._node.gate
        if gate is None:
            return _handshake(head, visit.remote, certificate), None
        handshake = _handshake(without_secrets(head), visit.remote, certificate)
        assert visit.scope is not None
        left = visit.scope.deadline - trio.current_time()
        with trio.move_on_after(left * AUTH_SHARE):
            try:
                return handshake, await gate.admit(handshake, head, visit.charged_to)
            except Refused as refused:
                raise self._node.refusals.of_credentials(refused, visit.remote) from None
        raise self.admission.refusal("slow_auth")

    def _check_origin(self, head: RequestHead, site: Site, remote: str) -> None:
        origin = head.headers.get("origin")
        if origin is None:
            allowed = not self._node.settings.origin_required
        else:
            allowed = same_origin(origin, site) or origin in self.admission.origins
        if not allowed:
            raise self._node.refusals.of_origin(origin, site.host, remote)

    def _look_behind_proxy(self, head: RequestHead, visit: Visit, *, tls: bool) -> Site:
        """Learn from the request who the client is and what it asked for.

        Only what a trusted proxy wrote counts.
        """
        if visit.proxy is None:
            return site_of(head.headers, tls=tls)
        header = self._node.settings.forwarded_header
        client = client_behind(visit.proxy, head.headers, header, self.admission.proxies)
        self.admission.introduce(visit, client)
        return site_of(head.headers, tls=tls, forwarded=header)


def _open_voice(chosen: Chosen, query: str) -> Voice:
    """Return what the dialect makes of a connection to that path, with that query.

    Raises:
        BadHead: There can be no such connection.
    """
    try:
        return chosen.open(query)
    except RequestError as error:
        raise BadHead(HTTPStatus.BAD_REQUEST) from error


def _handshake(head: RequestHead, remote: str, certificate: Certificate | None) -> Handshake:
    return Handshake(head.path, head.query, head.raw, head.subprotocols, remote, certificate)


async def _receive(link: Link) -> bytes:
    """Return at least a byte."""
    data = await link.receive_some()
    if not data:
        raise trio.BrokenResourceError("closed before its first request")
    return data


async def _refuse(link: Link, error: BadHead) -> None:
    """Answer, where there is an answer, and give the client a moment to read it."""
    if error.status is None:
        return
    with trio.move_on_after(REFUSAL_SECONDS), contextlib.suppress(trio.BrokenResourceError):
        await link.send_all(response(error))
        await link.finish()


async def _close(link: Link) -> None:
    with trio.CancelScope(shield=True):
        await link.aclose()
