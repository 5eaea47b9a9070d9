"""The life of one WebSocket connection, from the handshake to the last byte."""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog
import trio

from rooms.core.identity import Identity
from rooms.errors import Disconnect, Lost, ShuttingDown
from rooms.protocol.dialects.base import Dialect, Voice
from rooms.protocol.frames import close_frame
from rooms.server import dispatch, signin
from rooms.server.client import Client
from rooms.server.node import Node
from rooms.server.outbox import Outbox
from rooms.server.session import Session
from rooms.transports.base import Handshake
from rooms.transports.stream import FrameStream
from rooms.transports.websocket import WebSocket

log = structlog.get_logger("rooms")

FIRST_FREE_CODE = 3000
"""The first close code that a peer may give any meaning to (RFC 6455, section 7.4.2)."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A connection whose opening handshake is done.

    Attributes:
        extra: What came behind the request.
        voice: What the dialect makes of this connection.
        identity: Who the request proved to be behind it, if it did.
        turn: Of the gate, when that was found out.
    """

    stream: FrameStream
    extra: bytes
    handshake: Handshake
    dialect: Dialect
    voice: Voice
    identity: Identity | None = None
    turn: int = 0


async def serve_websocket(node: Node, accepted: Accepted) -> None:
    """Serve one client; everything of it has ended when this returns, but for its link.

    Whatever ends it, everybody gets to know: rooms, application, peer.
    """
    async with trio.open_nursery() as nursery:
        session, socket = _open_session(node, accepted, nursery)
        started = trio.current_time()
        log.info("connected", client=session.id, remote=session.client.remote)
        try:
            with session.scope:
                await session.run()
        except trio.Cancelled:
            if socket.open:
                session.end(ShuttingDown())  # nobody ended this one: all of them are cancelled
            raise
        finally:
            reason = session.reason or socket.ending
            session.detach(reason)
            with trio.CancelScope(shield=True) as session.goodbye:
                await _end(session, socket, reason)
            node.forget(session)
            _note_end(session, reason, trio.current_time() - started)
        nursery.cancel_scope.cancel()


def _open_session(
    node: Node, accepted: Accepted, nursery: trio.Nursery
) -> tuple[Session, WebSocket]:
    """Return the session of an accepted connection, and what it is wired to."""
    settings = node.settings
    stream = accepted.stream
    start = nursery.start_soon
    socket = WebSocket(stream, start, settings.message_bytes)
    session = Session(node, accepted.dialect, accepted.voice, nursery)
    session.client = Client(session, session.id, accepted.handshake, time.time())
    session.client.name = accepted.voice.name
    session.outbox = Outbox(
        stream.link,
        limit_bytes=settings.outbox_bytes,
        limit_writes=settings.outbox_writes,
        start=start,
        slow=session,
        stalls=node.stalls,
    )
    session.write = session.outbox.write
    session.resume = stream.resume
    socket.attach(session, session.outbox)
    node.sessions[session.id] = session
    if node.gate is not None:
        signin.admit(session, accepted.identity, accepted.turn, node.gate)
    if accepted.extra:
        stream.take(accepted.extra)
    signin.check_name(session)  # of two requests that were read at the same time
    if node.draining:  # since the request was read
        session.end(ShuttingDown())
    return session, socket


def _code_label(session: Session, reason: Disconnect) -> str:
    """Return what the end of a connection is counted as; peers may say any of 2,000 numbers."""
    known = session.reason is not None or reason.code < FIRST_FREE_CODE
    return str(reason.code) if known else "other"


def _note_end(session: Session, reason: Disconnect, seconds: float) -> None:
    session.node.counters.add("disconnects", _code_label(session, reason))
    log.info(
        "disconnected",
        client=session.id,
        code=reason.code,
        reason=reason.reason,
        seconds=round(seconds, 3),
        received=session.received,
    )


async def _end(session: Session, socket: WebSocket, reason: Disconnect) -> None:
    """Say goodbye and fire ``disconnected``, at the same time and each within its deadline."""
    settings = session.node.settings
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_goodbye, session, socket, reason, settings.close_seconds)
        if session.announced:
            with trio.move_on_after(settings.disconnected_seconds) as scope:
                await dispatch.disconnected(session, reason)
            if scope.cancelled_caught:
                log.error("disconnected handler took too long", client=session.id)


async def _goodbye(session: Session, socket: WebSocket, reason: Disconnect, seconds: float) -> None:
    """Do the closing handshake as far as the peer takes part."""
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            # the connection's may be cancelled
            session.outbox.start = socket.start = nursery.start_soon
            try:
                await _say_goodbye(session, socket.stream, reason)
            finally:  # while the nursery is open: in a closed one nothing can be started
                session.outbox.close()
                socket.stream.hang_up()
            nursery.cancel_scope.cancel()


async def _say_goodbye(session: Session, stream: FrameStream, reason: Disconnect) -> None:
    if session.reason is not None:
        await stream.shake_hands(session.dialect.encode_close(reason))
    elif not isinstance(reason, Lost):
        stream.say_goodbye(close_frame(reason.code, reason.reason))
    await session.outbox.drained()
    if not session.outbox.broken:
        await stream.finish()
