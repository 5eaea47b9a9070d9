"""One connection: what arrives is handled in order, and when it ends everything of it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
import trio
from msgspec import UNSET, Raw

from rooms.core.room import Room
from rooms.errors import (
    Disconnect,
    Internal,
    RequestError,
    TooManyErrors,
    Unrecoverable,
)
from rooms.protocol.commands import (
    Command,
    ErrorReply,
    Limits,
    Message,
    Origin,
    Push,
    SendEvent,
    User,
    Welcome,
)
from rooms.protocol.dialects.base import Dialect
from rooms.protocol.frames import BINARY
from rooms.protocol.topics import Filter
from rooms.server import commands, dispatch, membership
from rooms.server.inbox import Inbox
from rooms.server.outbox import Outbox
from rooms.server.presence import depart

if TYPE_CHECKING:
    from rooms.server.client import Client
    from rooms.server.node import Node

log = structlog.get_logger("rooms")


class Session:
    """The state of one connection, and the one place where errors become answers.

    What can be done at once is done where it is read (`receive`).  What must wait goes through
    the inbox to the connection's own task (`run`), and then everything behind it waits too.

    Attributes:
        details: What presence tells of the connection beside its id.
        reason: Why we ended the connection, if we did.
        full: Whether the inbox is full; the peer then has to wait.
        goodbye: Shields the closing handshake and ``disconnected`` while they are under way.
        resume: Makes the transport go on after the session was full.
        write: The outbox's ``write``: the session is the member that rooms know.
    """

    __slots__ = (
        "_busy",
        "_errors",
        "_inbox",
        "_over",
        "_spoke",
        "_tasks",
        "announced",
        "client",
        "details",
        "dialect",
        "filters",
        "full",
        "goodbye",
        "heard",
        "id",
        "node",
        "nursery",
        "origin",
        "outbox",
        "reason",
        "received",
        "resume",
        "rooms",
        "scope",
        "write",
    )

    def __init__(self, node: Node, dialect: Dialect, nursery: trio.Nursery) -> None:
        self.node = node
        self.dialect = dialect
        self.nursery = nursery
        self.id = node.next_client_id()
        self.client: Client
        self.outbox: Outbox
        self.write: Callable[[bytes], None]
        self.resume: Callable[[], None]
        self.origin = Origin(self.id)
        self.details: Raw | None = None
        self.rooms: dict[str, Room] = {}
        self.filters: dict[str, Filter] = {}
        self.scope = trio.CancelScope()
        self.goodbye: trio.CancelScope | None = None
        self.reason: Disconnect | None = None
        self.announced = False  # whether the application knows of the connection
        self.full = False
        self.heard = True
        self.received = 0
        self._over = False
        self._busy = True  # until ``connected`` has been handled
        self._errors = 0
        self._tasks: dict[trio.CancelScope, None] = {}
        self._inbox = Inbox(node.settings.inbox_messages)
        self._spoke = node.heartbeat.add(self)

    # What the transport calls.

    def receive(self, opcode: int, payload: bytes) -> None:
        """Handle one message: here and now, or behind what waits already."""
        if self._over or self.reason is not None:
            return
        self.received += 1
        command = None
        try:
            command = self.dialect.decode(payload, opcode == BINARY)
            if not self._busy and commands.NOW[type(command)](self, command):
                self._errors = 0
                return
        except (Exception, SystemExit) as error:
            self.fail(command, error)
            return
        self._busy = True
        self._inbox.put(command)
        self.full = self._inbox.full

    def ended(self, clean: bool) -> None:
        """Handle no more than what came before the peer's goodbye, or nothing if it had none."""
        if self._over:
            return
        self._over = True
        self.full = False
        self._inbox.close()
        if clean:
            self.scope.deadline = trio.current_time() + self.node.settings.close_seconds
        else:
            self.scope.cancel()

    # The connection's own task.

    async def run(self) -> None:
        """Greet, then handle what must wait, until the connection ends."""
        settings = self.node.settings
        limits = Limits(message=settings.message_bytes, rooms=settings.rooms_per_client)
        self.say(Welcome(self.id, self.client.user, settings.ping_seconds, limits))
        await dispatch.connected(self)
        while True:
            self._busy = self._inbox.waiting > 0
            try:
                command = await self._inbox.get()
            except trio.EndOfChannel:
                return
            await self._perform(command)
            if self.full:
                self.full = False
                self.resume()

    def detach(self, reason: Disconnect) -> None:
        """Undo everything that others know of the connection; cannot be interrupted.

        Args:
            reason: Why it ended, whoever ended it.
        """
        self._over = True
        self.full = False
        self.node.heartbeat.remove(self, self._spoke)
        depart(self, reason)
        for rooms in tuple(self.filters.values()):
            membership.unfollow(self, rooms)
        self.node.tick.settle(self)
        for scope in tuple(self._tasks):
            scope.cancel()

    def end(self, reason: Disconnect) -> None:
        """End the connection, now; the first reason counts."""
        if self.reason is None:
            self.reason = reason
            self.scope.cancel()

    # What commands and handlers do.

    def say(self, message: Message) -> None:
        """Send ``message`` to this client, in order with what its rooms publish."""
        self.node.tick.send(self, self.dialect.encode(message))

    def push(self, event: str, payload: Any) -> None:
        """Send an event to this client alone."""
        self.say(Push(event, Raw(msgspec.json.encode(payload))))

    def sign_in(self, user: User) -> None:
        """Make ``user`` the one behind this connection."""
        self.client.user = user
        self.origin = Origin(self.id, user.id)

    def scoped_key(self, command: SendEvent) -> str | None:
        """Return the command's key, made different from everybody else's."""
        return None if command.key is None else f"{self.user_key}\n{command.key}"

    @property
    def user_key(self) -> str:
        """What presence counts: the user, or the connection of somebody without a name."""
        return self.origin.user or self.id

    def start_soon(self, function: Callable[..., Awaitable[object]], *args: Any) -> None:
        """Start a task that ends with the connection."""
        self.nursery.start_soon(self._run_task, function, args)

    def fail(self, command: Command | None, error: Exception | SystemExit) -> None:
        """Turn an error into what the client gets: a reply, a close code, or an apology.

        Args:
            command: What failed; None if the frame held none.
        """
        if isinstance(error, Disconnect):
            self.end(error)
            return
        if not isinstance(error, RequestError):
            log.error("handler failed", client=self.id, exc_info=error)
            error = Internal()
        command_id = error.id if command is None else command.id
        shown = UNSET if command_id is None else command_id
        reason = error.reason if isinstance(error, Unrecoverable) else UNSET
        self.node.counters.add("request_errors", error.code)
        self.say(ErrorReply(id=shown, code=error.code, message=error.message, reason=reason))
        self._errors += 1
        if self._errors > self.node.settings.errors_in_a_row:
            self.end(TooManyErrors())

    async def _perform(self, command: Command) -> None:
        try:
            await commands.perform(self, command)
            self._errors = 0
        except (Exception, SystemExit) as error:
            self.fail(command, error)

    async def _run_task(
        self, function: Callable[..., Awaitable[object]], args: tuple[Any, ...]
    ) -> None:
        with trio.CancelScope() as scope:
            self._tasks[scope] = None
            try:
                await function(*args)
            except Disconnect as error:
                self.end(error)
            except (Exception, SystemExit) as error:
                log.error("task failed", client=self.id, exc_info=error)
            finally:
                del self._tasks[scope]
