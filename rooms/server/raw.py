"""The life of one connection to an endpoint of an application's own."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

import structlog
import trio

from rooms.core.groups import root_of
from rooms.core.identity import Identity
from rooms.errors import (
    ConnectionLimit,
    Disconnect,
    HandlerFailed,
    NormalClosure,
    Refused,
    ShuttingDown,
)
from rooms.protocol.commands import Origin
from rooms.protocol.handshake import accept_answer
from rooms.protocol.http import BadHead, RequestHead, check_header, response
from rooms.server.exits import without_exit
from rooms.server.node import Node
from rooms.server.pace import Throttle
from rooms.server.routes import Route
from rooms.server.websocket import WebSocket
from rooms.server.wire import Wire
from rooms.transports.base import Handshake, Link
from rooms.transports.endpoint import Endpoint

REJECTION_SECONDS = 1.0
"""How long a client gets to read why it was rejected."""

HANDSHAKE = frozenset(
    {"connection", "upgrade", "content-length", "transfer-encoding", "sec-websocket-accept"}
    | {"sec-websocket-protocol", "sec-websocket-extensions"}
)
"""Headers of the answer that the server says itself."""

FIRST_FREE_CODE = 3000
"""The first close code that a peer may give any meaning to (RFC 6455, section 7.4.2)."""

log = structlog.get_logger("rooms")


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request for an endpoint of an application's own, which may be accepted.

    Attributes:
        parameters: What stands in the path for the route's, as it came.
        extra: What came behind the request.
        identity: Who the client has proved to be.
    """

    link: Link
    head: RequestHead
    route: Route
    parameters: dict[str, str]
    extra: bytes
    handshake: Handshake
    identity: Identity | None = None


class RawConnection:
    """One connection of an endpoint, before and after it is accepted.

    Attributes:
        node: That it is connected to.
        wire: What is sent and received by, once it is accepted.
        subprotocol: Selected when it was.
        connected_at: When the request came, in seconds since 1970.
        goodbye: Shields the closing handshake while it is under way.
        message_bytes: The largest message that is received as a whole.
    """

    def __init__(self, node: Node, request: RawRequest, nursery: trio.Nursery) -> None:
        self.node = node
        self._request: RawRequest | None = request  # until it is answered
        self._nursery = nursery
        self._scope = trio.CancelScope(deadline=trio.current_time() + node.settings.head_seconds)
        self._outcome: Exception | None = ShuttingDown()  # unless the handler comes to an end
        self._ended: Disconnect | None = None  # before it was accepted
        self._signed_in = False
        self._parameters = request.parameters
        self.connected_at = time.time()
        self.id = node.next_client_id()
        self.handshake = request.handshake
        self.identity = request.identity
        self.message_bytes = node.settings.message_bytes
        self.wire: Wire | None = None
        self.subprotocol: str | None = None
        self.goodbye: trio.CancelScope | None = None

    @property
    def endpoint(self) -> Endpoint | None:
        """What is sent and received by, once it is accepted."""
        return None if self.wire is None else self.wire.endpoint

    @property
    def client(self) -> WebSocket | None:
        """What the application sees of it, once it is accepted."""
        return None if self.wire is None else WebSocket(self, self._parameters)

    @property
    def waiting_bytes(self) -> int:
        """How much waits for the client to read it."""
        return 0 if self.wire is None else self.wire.outbox.waiting_bytes

    @property
    def origin(self) -> Origin:
        """Who is behind it, as others are told."""
        return Origin(self.id, None if self.identity is None else self.identity.user.id)

    @property
    def latency(self) -> float | None:
        """Seconds from the last ping that was answered to its pong."""
        return None if self.wire is None else self.wire.latency

    @property
    def received(self) -> int:
        """How many messages have come."""
        return 0 if self.wire is None else self.wire.endpoint.messages

    @property
    def received_bytes(self) -> int:
        """How many bytes have."""
        return 0 if self.wire is None else self.wire.received_bytes

    # The handshake.

    async def accept(self, subprotocol: str | None, headers: Iterable[tuple[str, str]]) -> None:
        """Accept the connection; see `WebSocket.accept`."""
        request, headers = self._unanswered(), list(headers)
        for name, value in headers:
            check_header(name, value)
            if name.lower() in HANDSHAKE:
                raise ValueError(f"the header {name} is the handshake's own")
        if subprotocol is not None and subprotocol not in self.handshake.subprotocols:
            raise ValueError(f"the client does not offer the subprotocol {subprotocol!r}")
        if self.node.gate is not None and self.identity is not None:
            self.node.gate.check(self.identity)  # it may have ended while the handler thought
        with contextlib.suppress(trio.BrokenResourceError):  # who reads from it will see
            await request.link.send_all(accept_answer(request.head, subprotocol, headers))
        self._request, self.subprotocol = None, subprotocol
        self._scope.deadline = math.inf
        throttle = Throttle(self.node.settings, self.node.counters)
        self.wire = Wire(self.node, request.link, self._nursery, self._scope, throttle=throttle)
        self.wire.start(request.extra)
        log.info("connected", client=self.id, remote=self.handshake.remote, path=request.head.path)
        self._sign_in()
        if self._ended is not None:
            self.wire.end(self._ended)
        if self.node.draining:  # since the request was read
            self.wire.endpoint.finish(ShuttingDown())

    async def reject(self, status: int, body: str | None) -> None:
        """Answer by a status; see `WebSocket.reject`."""
        if HTTPStatus(status) < HTTPStatus.OK:  # 101 would be yes (RFC 6455, section 4.1)
            raise ValueError(f"{status} is no answer that a request ends with")
        refusal = BadHead(HTTPStatus(status), "rejected")
        await self._answer(refusal, response(refusal, body))

    async def _answer(self, refusal: BadHead, answer: bytes) -> None:
        """Answer a request that is not accepted, and give the client a moment to read it."""
        link, self._request = self._unanswered().link, None
        self.node.refusals.note(refusal, self.handshake.remote)
        with trio.move_on_after(REJECTION_SECONDS), contextlib.suppress(trio.BrokenResourceError):
            await link.send_all(answer)
            await link.finish()

    def _unanswered(self) -> RawRequest:
        if self._request is None:
            raise RuntimeError("this connection has been accepted or rejected already")
        return self._request

    def _sign_in(self) -> None:
        """Count the user's connection, and have it end when what was proved ends."""
        identity, node = self.identity, self.node
        if identity is None or self.wire is None:
            return
        try:
            node.users.add(identity.user.id, node.settings.connections_per_user)
        except ConnectionLimit as error:
            self.wire.end(error)
        else:
            self._signed_in = True
            if identity.expires_at is not None:
                node.expiries.set(self, max(0.0, identity.expires_at - time.time()))

    def _sign_out(self) -> None:
        if self._signed_in and self.identity is not None:
            self.node.users.remove(self.identity.user.id)
            self.node.expiries.remove(self)

    # What ends it from outside.

    def finish(self, reason: Disconnect) -> None:
        """Have the handler receive nothing more; what it still sends is sent."""
        if self.wire is None:
            self._scope.cancel()
        else:
            self.wire.endpoint.finish(reason)

    def end(self, reason: Disconnect) -> None:
        """End the connection, now."""
        if self.wire is None:
            self._ended = reason
            self._scope.cancel()
        else:
            self.wire.end(reason)

    # The handler.

    async def run(self, route: Route) -> None:
        """Run the handler to its end, whatever that is."""
        try:
            if route.accept:
                offered = self.handshake.subprotocols
                chosen = (name for name in offered if name in route.subprotocols)
                await self.accept(next(chosen, None), ())
            with self._scope:
                await trio.lowlevel.checkpoint_if_cancelled()  # ended while it was accepted
                with without_exit():
                    await route.handler(WebSocket(self, self._parameters))
                self._outcome = None
        except (Exception, SystemExit) as error:
            self._outcome = self._judge(error)

    def _judge(self, error: Exception | SystemExit) -> Exception:
        """Return what an error of the handler means; what is no goodbye is logged."""
        told = root_of(error)
        ours = Disconnect if self.wire is not None else Refused | BadHead
        if isinstance(told, ours) and isinstance(error, ours | ExceptionGroup):
            return told
        log.error("handler failed", client=self.id, exc_info=error)
        return HandlerFailed()

    async def part(self) -> None:
        """Say goodbye, or answer a request that nobody has answered."""
        if self._request is not None:
            refusal = self._refusal()
            await self._answer(refusal, response(refusal))
        if self.wire is None:
            return
        outcome = self._outcome
        await self.wire.farewell(outcome if isinstance(outcome, Disconnect) else NormalClosure())
        self._sign_out()
        self._note_end(self.wire.endpoint)

    def _refusal(self) -> BadHead:
        """Return what a request is answered that the handler did not answer."""
        outcome = self._outcome
        if isinstance(outcome, BadHead):
            return outcome
        if isinstance(outcome, Refused):
            return BadHead(HTTPStatus(outcome.status), "rejected", message=outcome.reason)
        if isinstance(outcome, HandlerFailed):
            return BadHead(HTTPStatus.INTERNAL_SERVER_ERROR, "handler_failed")
        if outcome is not None:  # it took too long, or the server stops
            return self.node.admission.refusal("undecided")
        return BadHead(HTTPStatus.FORBIDDEN, "rejected")

    def _note_end(self, endpoint: Endpoint) -> None:
        reason = endpoint.reason
        assert reason is not None
        known = not endpoint.ended_by_peer or reason.code < FIRST_FREE_CODE
        self.node.counters.add("disconnects", str(reason.code) if known else "other")
        log.info(
            "disconnected",
            client=self.id,
            code=reason.code,
            reason=reason.reason,
            received=endpoint.messages,
        )


async def serve_raw(node: Node, request: RawRequest) -> None:
    """Serve one client of an endpoint; everything of it has ended when this returns."""
    async with trio.open_nursery() as nursery:
        connection = RawConnection(node, request, nursery)
        node.endpoints[connection.id] = connection
        route = request.route
        del request  # what the head takes is needed no more than until it is answered
        try:
            await connection.run(route)
        finally:
            with trio.CancelScope(shield=True) as connection.goodbye:
                await connection.part()
            node.forget_endpoint(connection)
        nursery.cancel_scope.cancel()
