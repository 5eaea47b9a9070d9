"""One connection: what arrives is handled in order, and when it ends everything of it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import structlog
import trio
from msgspec import Raw

from rooms.core.identity import Identity
from rooms.core.room import Room, Write
from rooms.core.slow import Portion, SlowRule
from rooms.errors import (
    Disconnect,
    Internal,
    RequestError,
    SlowConsumer,
    TooManyErrors,
    TooManyRequests,
)
from rooms.protocol.commands import Message, Origin, User, error_reply
from rooms.protocol.dialects.base import Decode, Dialect, Voice
from rooms.protocol.foreign import Said
from rooms.protocol.frames import BINARY
from rooms.protocol.topics import Filter
from rooms.server import commands, membership, signin
from rooms.server.guard import guard_of
from rooms.server.heartbeat import Ping
from rooms.server.inbox import Inbox
from rooms.server.outbox import Outbox
from rooms.server.pace import Pace
from rooms.server.presence import depart
from rooms.server.publishing import UnderWay
from rooms.server.tasks import run_task

if TYPE_CHECKING:
    from rooms.server.client import Client
    from rooms.server.node import Node

log = structlog.get_logger("rooms")


class Session:
    """The state of one connection, and the one place where errors become answers.

    What can be done at once is done where it is read (`receive`).  What must wait goes through
    the inbox to the connection's own task (`run`), and then everything behind it waits too.

    Attributes:
        decode: Makes commands of what the client says.
        details: What presence tells of the connection beside its id.
        reason: Why we ended the connection, if we did.
        first: What is done as soon as the application knows of the connection.
        guard: Decides what the client may do; None where it may do everything.
        full: Whether the inbox is full; the peer then has to wait.
        pace: How fast the client may send.
        signing_in: Whether nothing is done for the client before it has signed in.
        failed_sign_ins: How often it has failed to, since it last did.
        identity: Who the client has proved to be, if it has.
        goodbye: Shields the closing handshake and ``disconnected`` while they are under way.
        resume: Makes the transport go on after the session was full.
        ping: The last one, until it is answered.
        publishing: What the broker has not confirmed yet.
        latency: Seconds from the last ping that was answered to its pong.
        write: The outbox's ``write``: the session is the member that rooms know.
    """

    __slots__ = (
        "_busy",
        "_errors",
        "_inbox",
        "_most_said",
        "_over",
        "_parting",
        "_said",
        "_spoke",
        "announced",
        "client",
        "decode",
        "details",
        "dialect",
        "failed_sign_ins",
        "filters",
        "first",
        "full",
        "goodbye",
        "guard",
        "heard",
        "id",
        "identity",
        "latency",
        "node",
        "nursery",
        "origin",
        "outbox",
        "pace",
        "ping",
        "publishing",
        "reason",
        "received",
        "received_bytes",
        "resume",
        "rooms",
        "scope",
        "signing_in",
        "tasks",
        "write",
    )

    def __init__(self, node: Node, dialect: Dialect, voice: Voice, nursery: trio.Nursery) -> None:
        self.node = node
        self.dialect = dialect
        self.decode: Decode = voice.decode
        self.first = voice.first
        self.nursery = nursery
        self.id = node.next_client_id()
        self.client: Client
        self.outbox: Outbox
        self.write: Write
        self.identity: Identity | None = None
        self.guard = guard_of(self)
        self.resume: Callable[[], None]
        self.origin = Origin(self.id)
        self.details: Raw | None = None
        self.rooms: dict[str, Room] = {}
        self.filters: dict[str, Filter] = {}
        self.scope = trio.CancelScope()
        self.goodbye: trio.CancelScope | None = None
        self.reason: Disconnect | None = None
        self.signing_in = False
        self.failed_sign_ins = 0
        self.announced = False  # whether the application knows of the connection
        self.full = False
        self.heard = True
        self.ping: Ping | None = None
        self.latency: float | None = None
        self.received = 0
        self.received_bytes = 0
        self._over = False
        self._parting: Disconnect | None = None
        self._busy = True  # until ``connected`` has been handled
        self._errors = 0
        self.tasks: dict[trio.CancelScope, None] = {}
        self._inbox = Inbox(node.settings.inbox_messages)
        self.publishing = UnderWay(self, node.settings.inbox_messages)
        self._said = 0  # bytes, since we last saw that all of it was read
        self._most_said = node.settings.outbox_bytes // 4
        self.pace = Pace(node.settings, node.counters)
        self._spoke = node.heartbeat.add(self)

    # What the transport calls.

    def overdraw(self, frames: int = 0) -> None:
        """End the connection if far too much arrived, messages or not."""
        if self.reason is None:
            try:
                self.pace.check_abuse(self.received, self.received_bytes, frames)
            except TooManyRequests as error:
                self.end(error)

    def receive(self, opcode: int, payload: bytes) -> None:
        """Handle one message: here and now, or behind what waits already."""
        if self._over or self.reason is not None:
            return
        self.received += 1
        command = None
        try:
            command = self.decode(payload, opcode == BINARY)
            if self.received > self.pace.messages:
                self.pace.check(self.received, self.received_bytes, len(payload))
            at_once = not self._busy and self._said < self._most_said
            if at_once and self.publishing.now(command):
                self._errors = 0
                return
        except (Exception, SystemExit) as error:
            self.fail(None if isinstance(command, tuple) else command, error)
            return
        self._busy = True
        self._inbox.put(command)
        self.full = self._inbox.full

    def ponged(self, payload: bytes) -> None:
        """Measure how long the answer to our last ping took, if this is that."""
        if self.ping is not None and self.ping.payload == payload:
            self.latency = trio.current_time() - self.ping.at
            self.ping = None

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

    # What the outbox and the heartbeat call.

    def cut(self, rule: SlowRule) -> None:
        """End the connection: its client does not read."""
        if self.reason is None:
            self.node.counters.add("slow_consumers", *rule)
            self.end(SlowConsumer())

    def lost(self, portion: Portion, first: bool) -> None:
        """Count what a client does not get because it does not read."""
        rule = portion.rule
        if first:
            self.node.counters.add("slow_consumers", *rule)
        self.node.counters.add("dropped_messages", *rule, amount=portion.publications)

    def progress(self) -> int | None:
        """Return what changes when the peer's machine confirms what it was sent, where known."""
        return self.outbox.progress()

    # The connection's own task.

    async def run(self) -> None:
        """Greet, then handle what must wait, until the connection ends."""
        signin.greet(self)
        if not self.signing_in and self.reason is None:
            await signin.begin(self)
        while True:
            self._busy = self.signing_in or self._inbox.waiting > 0
            try:
                command = await self._inbox.get()
            except trio.EndOfChannel:
                await self.publishing.landed()
                if self._parting is not None:
                    self.end(self._parting)
                return
            for each in command if isinstance(command, tuple) else (command,):
                if self._said >= self._most_said:
                    await self._let_out()
                await self.perform(each)
            if self.full and not self._inbox.full:  # it may have been filled meanwhile
                self.full = False
                self.resume()

    def detach(self, reason: Disconnect) -> None:
        """Undo everything that others know of the connection; cannot be interrupted.

        Args:
            reason: Why it ended, whoever ended it.
        """
        self._over = True
        self.full = False
        self.publishing.give_up()
        self.node.names.release(self)
        self.node.heartbeat.remove(self, self._spoke)
        depart(self, reason)
        signin.sign_out(self)
        for rooms in tuple(self.filters.values()):
            membership.unfollow(self, rooms)
        self.node.tick.settle(self)
        for scope in tuple(self.tasks):
            scope.cancel()

    def end(self, reason: Disconnect) -> None:
        """End the connection, now; the first reason counts."""
        if self.reason is None:
            self.reason = reason
            self.scope.cancel()

    def finish(self, reason: Disconnect) -> None:
        """End the connection as soon as everything that it has asked for is done."""
        if not self._over:
            self._parting = reason
            self._over = True
            self.full = False
            self._inbox.close()

    # What commands and handlers do.

    def say(self, message: Message) -> None:
        """Send ``message`` to this client, in order with what its rooms publish."""
        frames = self.dialect.encode(message)
        if frames:  # not every dialect has a word for everything
            self._said += len(frames)
            self.node.tick.send(self, frames)

    def sign_in(self, user: User) -> None:
        """Make ``user`` the one behind this connection.

        Raises:
            ConnectionLimit: It has as many connections here as it may have.
        """
        self.node.users.add(user.id, self.node.settings.connections_per_user)
        self.client.user = user
        self.origin = Origin(self.id, user.id)

    @property
    def user_key(self) -> str:
        """What presence counts: the user, or the connection of somebody without a name."""
        return self.origin.user or self.id

    @property
    def inbox_messages(self) -> int:
        """How many commands wait for the connection's own task."""
        return self._inbox.waiting

    def start_soon(self, function: Callable[..., Awaitable[object]], *args: Any) -> None:
        """Start a task that ends with the connection."""
        self.nursery.start_soon(run_task, self, function, args)

    def fail(self, command: Said | None, error: Exception | SystemExit) -> None:
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
        self.node.counters.add("request_errors", error.code)
        self.say(error_reply(error, error.id if command is None else command.id))
        if error.retry_after is None:  # else it is the server's, or has a limit of its own
            self._errors += 1
        if self._errors > self.node.settings.errors_in_a_row:
            self.end(TooManyErrors())

    async def _let_out(self) -> None:
        """Wait until the client has read what it asked for, before more is said to it.

        One read may hold a thousand commands whose answers are a thousand times their size.
        """
        while self.node.tick.owes(self):
            await trio.lowlevel.checkpoint()
        await self.outbox.drained()
        self._said = 0

    async def perform(self, command: Said) -> None:
        """Do what a client asks for, or what the path says, and answer what goes wrong."""
        try:
            if not self.publishing.begin(command):
                await self.publishing.landed()
                await commands.perform(self, command)
            self._errors = 0
        except (Exception, SystemExit) as error:
            self.fail(command, error)
