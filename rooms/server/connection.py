"""The life of one WebSocket connection, from the handshake to the last byte."""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog
import trio

from rooms.errors import Disconnect, Lost, ShuttingDown, SlowConsumer
from rooms.protocol.dialects.base import Dialect
from rooms.protocol.frames import close_frame
from rooms.server import dispatch
from rooms.server.client import Client
from rooms.server.node import Node
from rooms.server.outbox import Outbox
from rooms.server.session import Session
from rooms.transports.base import Handshake, Link
from rooms.transports.stream import FrameStream
from rooms.transports.websocket import WebSocket, accept, late_answers_ignored

log = structlog.get_logger("rooms")


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A request to become a WebSocket that this server is willing to grant.

    Attributes:
        head: The request as it came, to be replayed.
        extra: What came behind it.
        subprotocol: The one to select, if any.
    """

    link: Link
    head: bytes
    extra: bytes
    handshake: Handshake
    dialect: Dialect
    subprotocol: str | None


async def serve_websocket(node: Node, upgrade: Upgrade) -> None:
    """Serve one client; everything of it has ended when this returns, but for its link."""
    with late_answers_ignored():
        async with trio.open_nursery() as nursery:
            await _serve(node, upgrade, nursery)
            nursery.cancel_scope.cancel()


async def _serve(node: Node, upgrade: Upgrade, nursery: trio.Nursery) -> None:
    settings = node.settings
    stream = FrameStream(upgrade.link, upgrade.head, settings.message_bytes)
    socket = None
    with trio.move_on_after(settings.head_seconds):
        socket = await accept(nursery, stream, upgrade.subprotocol, settings.message_bytes)
    if socket is not None:
        session = _open_session(node, upgrade, nursery, socket)
        if upgrade.extra:
            stream.take(upgrade.extra)
        if node.draining:  # since the request was read
            session.end(ShuttingDown())
        await _run(session, socket)


def _open_session(
    node: Node, upgrade: Upgrade, nursery: trio.Nursery, socket: WebSocket
) -> Session:
    """Return the session of an accepted connection, wired to it."""
    settings = node.settings
    session = Session(node, upgrade.dialect, nursery)
    session.client = Client(session, session.id, upgrade.handshake, time.time())
    session.outbox = Outbox(
        upgrade.link,
        limit_bytes=settings.outbox_bytes,
        limit_writes=settings.outbox_writes,
        start=nursery.start_soon,
        overflow=lambda: session.end(SlowConsumer()),
    )
    session.write = session.outbox.write
    session.resume = socket.stream.resume
    socket.attach(session, session.outbox)
    node.sessions[session.id] = session
    return session


async def _run(session: Session, socket: WebSocket) -> None:
    """Run a session and, whatever ends it, let everybody know: rooms, application, peer."""
    started = trio.current_time()
    log.info("connected", client=session.id, remote=session.client.remote)
    try:
        with session.scope:
            await session.run()
    except trio.Cancelled:
        if socket.open:
            session.end(ShuttingDown())  # nobody ended this connection: all of them are cancelled
        raise
    finally:
        session.detach()
        reason = session.reason or socket.ending
        with trio.CancelScope(shield=True) as session.goodbye:
            await _end(session, socket, reason)
        session.node.forget(session)
        log.info(
            "disconnected",
            client=session.id,
            code=reason.code,
            reason=reason.reason,
            seconds=round(trio.current_time() - started, 3),
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
            session.outbox.start = nursery.start_soon  # the connection's may be cancelled
            await _say_goodbye(session, socket.stream, reason)
            nursery.cancel_scope.cancel()


async def _say_goodbye(session: Session, stream: FrameStream, reason: Disconnect) -> None:
    if session.reason is not None:
        await stream.shake_hands(close_frame(reason.code, reason.reason))
    elif not isinstance(reason, Lost):
        stream.say_goodbye(close_frame(reason.code, reason.reason))
    await session.outbox.drained()
    if not session.outbox.broken:
        await stream.finish()
