"""Events on their way to an application's handlers, and the handlers' answers back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
import trio

from rooms.errors import Disconnect, HandlerFailed, UnknownEvent
from rooms.protocol.commands import Reply, SendEvent
from rooms.protocol.foreign import ForeignEvent
from rooms.protocol.names import check_event, check_room
from rooms.server import membership
from rooms.server.context import Context
from rooms.server.exits import without_exit
from rooms.server.guard import Guard, publish_access
from rooms.server.handlers import Handler
from rooms.server.rooms import RoomHandle

if TYPE_CHECKING:
    from rooms.server.session import Session

log = structlog.get_logger("rooms")

CallNext = Callable[[Context[Any]], Awaitable[Any]]


def event_now(session: Session, command: SendEvent) -> bool:
    """Handle or relay an event, or return False if that takes waiting.

    The reply is said, or will be as soon as the broker has the event.

    Raises:
        RequestError: The client may not send that event.
    """
    app = session.node.app
    handler = app.handlers.find(command.event, command.room)
    if app.middlewares or (handler is not None and handler.waits):
        return False
    if session.guard is not None and not _permitted_now(session.guard, session, command):
        return False
    if handler is not None:
        _answer(session, command, _call(_context(session, command, handler), handler))
        return True
    room = _relayed(session, command)
    broker, key = session.node.broker, _key(session, command)
    try:
        position = broker.publish_nowait(room, command.event, command.payload, session.origin, key)
    except trio.WouldBlock:
        return session.publishing.add(command, room, key)
    if command.id is not None:
        session.say(Reply(id=command.id, position=position))
    return True


def begin(session: Session, command: SendEvent) -> bool:
    """Begin to relay an event without waiting for the broker, or return False if it takes more.

    Raises:
        RequestError: The client may not send that event.
    """
    app = session.node.app
    handled = app.middlewares or app.handlers.find(command.event, command.room) is not None
    if handled or not session.node.broker.begins:
        return False
    if session.guard is not None and not _permitted_now(session.guard, session, command):
        return False
    return session.publishing.add(command, _relayed(session, command), _key(session, command))


async def event(session: Session, command: SendEvent) -> None:
    """Handle or relay an event through the middleware, and reply.

    Raises:
        RequestError: The client may not send that event.
    """
    app = session.node.app
    if session.guard is not None and command.room is not None:
        await session.guard.permit(publish_access(session, command, command.room))
    handler = app.handlers.find(command.event, command.room)
    if handler is not None and not app.middlewares:
        await _handle(session, command, handler, _context(session, command, handler))
        return
    last: CallNext
    if handler is None:
        last = partial(_relay, session, command, _relayed(session, command))
    else:
        last = partial(_handle, session, command, handler)
    for middleware in reversed(app.middlewares):
        last = partial(middleware, call_next=last)
    await last(_context(session, command, handler))


async def connected(session: Session) -> None:
    """Tell the application that a connection began; if it fails, the connection ends."""
    session.announced = True
    ctx = Context(session.node.app, session.client, "connected", None)
    try:
        for handler in session.node.app.lifecycle["connected"]:
            await _wait_for(handler.function(ctx))
    except Disconnect as error:
        session.end(error)
    except (Exception, SystemExit) as error:
        log.error("connected handler failed", client=session.id, exc_info=error)
        session.end(HandlerFailed())


async def disconnected(session: Session, reason: Disconnect) -> None:
    """Tell the application that a connection ended; what its handlers raise is logged."""
    ctx = Context(session.node.app, session.client, "disconnected", None, reason=reason)
    for handler in session.node.app.lifecycle["disconnected"]:
        try:
            await _wait_for(handler.function(ctx))
        except (Exception, SystemExit) as error:
            log.error("disconnected handler failed", client=session.id, exc_info=error)


def _permitted_now(guard: Guard, session: Session, command: SendEvent) -> bool:
    """Ask whether a client may publish; returns False if that takes waiting."""
    if command.room is None:
        return True
    try:
        guard.permit_now(publish_access(session, command, command.room))
    except trio.WouldBlock:
        return False
    return True


def _context(session: Session, command: SendEvent, handler: Handler | None) -> Context[Any]:
    room = None
    if command.room is not None:
        room = RoomHandle(session.node, _place(session, command, command.room))
    payload = command.payload if handler is None else handler.decode(command.payload)
    key = _scoped_key(session, command)
    ctx = Context(session.node.app, session.client, command.event, payload, room, key)
    if isinstance(command, ForeignEvent):
        ctx.headers = command.headers
    return ctx


def _place(session: Session, command: SendEvent, room: str) -> str:
    """Return the room that an event is for.

    Raises:
        NotMember: The sender is not in it, and has to be.
    """
    if isinstance(command, ForeignEvent) and command.outside:
        return check_room(room)
    return membership.joined(session, room).name


def _call(ctx: Context[Any], handler: Handler) -> Any:
    """Call a plain handler, and the error handler for what it raises."""
    try:
        return handler.function(ctx)
    except Exception as error:
        rescue = ctx.app.find_error_handler(error)
        if rescue is None:
            raise
        return rescue(ctx, error)


async def _handle(
    session: Session, command: SendEvent, handler: Handler, ctx: Context[Any]
) -> None:
    """Call a handler and send its answer; the innermost of the middleware's calls."""
    try:
        answer = await _wait_for(handler.function(ctx))
    except Exception as error:
        rescue = ctx.app.find_error_handler(error)
        if rescue is None:
            raise
        answer = await _wait_for(rescue(ctx, error))
    _answer(session, command, answer)


async def _relay(session: Session, command: SendEvent, room: str, ctx: Context[Any]) -> None:
    """Publish an event as it came; the innermost of the middleware's calls."""
    broker, key = session.node.broker, _key(session, command)
    position = await broker.publish(room, command.event, command.payload, session.origin, key)
    if command.id is not None:
        session.say(Reply(id=command.id, position=position))


def _key(session: Session, command: SendEvent) -> str | None:
    """Return the key of an event that is published as it came."""
    key = _scoped_key(session, command)
    return None if key is None else f"{key}\n{command.event}"


def _scoped_key(session: Session, command: SendEvent) -> str | None:
    """Return the command's key, made different from everybody else's."""
    if command.key is None:
        return None
    # ids begin anew at each start
    whose = session.origin.user or f"{session.node.life} {session.id}"
    return f"{whose}\n{command.key}"


def _relayed(session: Session, command: SendEvent) -> str:
    """Return the room where an event without a handler is to be published.

    Raises:
        ReservedName, InvalidName: Nobody may send an event of that name.
        UnknownEvent: This application does not relay, or the event names no room.
        NotMember: The sender is not in the room.
    """
    check_event(command.event)
    if command.room is None or not session.node.app.relay:
        raise UnknownEvent(f"Nothing handles the event {command.event!r}.")
    if command.room in session.rooms:  # as always, but for those who publish from outside
        return command.room
    return _place(session, command, command.room)


def _answer(session: Session, command: SendEvent, answer: Any) -> None:
    if command.id is None:
        return
    if answer is None:
        session.say(Reply(id=command.id))
    else:
        session.say(Reply(id=command.id, payload=answer))


async def _wait_for(result: Any) -> Any:
    """Return what a handler returned, plain or asynchronous."""
    if not isinstance(result, Awaitable):
        return result
    with without_exit():
        return await result
