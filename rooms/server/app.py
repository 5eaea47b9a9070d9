"""An application: its events, who handles them, and its rooms while it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from rooms.brokers.base import Broker
from rooms.config import Settings
from rooms.core.grants import Action
from rooms.core.presence import PresenceMode
from rooms.core.slow import SlowPolicy
from rooms.errors import Forced, RoomsError
from rooms.protocol.dialects import Dialects, find_dialects
from rooms.protocol.dialects.base import Dialect
from rooms.protocol.names import check_event
from rooms.server import reach
from rooms.server.auth import Authenticator
from rooms.server.authorize import RuleFunction, Rules, make_rule
from rooms.server.client import Client
from rooms.server.context import Context
from rooms.server.handlers import Handler, Handlers, make_handler
from rooms.server.node import Node
from rooms.server.options import Options, room_options
from rooms.server.pages import Pages
from rooms.server.rooms import RoomHandle
from rooms.server.routes import Routes
from rooms.server.signins import SignIns
from rooms.server.websocket import WebSocket

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R", bound=RuleFunction)
Middleware = Callable[..., Awaitable[Any]]
ErrorHandler = Callable[[Context[Any], Any], Any]
Lifespan = Callable[["App"], AbstractAsyncContextManager[None]]

HOOKS = ("connected", "disconnected")


class NotRunning(RoomsError):
    """Rooms and clients exist only while the application is being served."""


class App(SignIns):
    """Events, handlers and rooms.  Two apps in one process share nothing.

    Args:
        relay: Publish an event for which there is no handler to its room as it is, if the sender
            is a member; without it such an event is an error.
        guests: Let people sign in under a name of their choice; not where ``auth`` says who gets
            in.
        auth: Who says who a client is; of several, each is asked until one knows.  Without it
            everybody gets in.
        dialects: What clients may speak, by name or as one's own `Dialect`; the setting of that
            name outweighs it.
        static: A folder of files that are served below ``/``, ``index.html`` as ``/`` itself.
        lifespan: Entered before the first connection and left after the last.
    """

    def __init__(
        self,
        *,
        relay: bool = False,
        guests: bool = False,
        auth: Authenticator | Sequence[Authenticator] | None = None,
        dialects: Iterable[str | Dialect] = ("native",),
        static: str | Path | None = None,
        lifespan: Lifespan | None = None,
    ) -> None:
        self.relay = relay
        self.guests = guests
        super().__init__(auth)
        self._dialects = find_dialects(dialects)
        self.handlers = Handlers()
        self.lifecycle: dict[str, list[Handler]] = {hook: [] for hook in HOOKS}
        self.middlewares: list[Middleware] = []
        self._error_handlers: dict[type[Exception], ErrorHandler] = {}
        self.options = Options()
        self.rules = Rules()
        self.http = Pages(static)
        self.routes = Routes(self._dialects)
        self.websocket = self.routes.websocket
        self._lifespans: list[Lifespan] = [] if lifespan is None else [lifespan]
        self._node: Node | None = None

    # Registration.

    def on(self, event: str, room: str | None = None) -> Callable[[F], F]:
        """Register a handler: ``@app.on("say", room="chat/+")``.

        ``connected`` and ``disconnected`` are fired by the server; every other event comes from
        clients.  What a handler returns is the reply to a command that carried an id.

        Args:
            event: The event's name.
            room: A filter by the rules of MQTT: only events to such rooms.  Without it, events to
                the server and to any room.

        Raises:
            ValueError: The event has a handler already.
            InvalidName, ReservedName, InvalidFilter: No client can send such an event.
        """

        def register(function: F) -> F:
            self._register(make_handler(event, function, room))
            return function

        return register

    def fallback(self, function: F) -> F:
        """Register the handler of all events that have no other; nothing is relayed then.

        Raises:
            ValueError: There is one already.
        """
        self.handlers.set_fallback(make_handler("fallback", function, None))
        return function

    def middleware(self, function: Middleware) -> Middleware:
        """Register a function around every event: ``await call_next(ctx)`` goes on."""
        self.middlewares.append(function)
        return function

    def authorize(self, *actions: Action, room: str) -> Callable[[R], R]:
        """Register a rule: ``@app.authorize("join", "history", room="team/+")``.

        The function gets an `Access` and returns True to allow, False to deny, or None to leave
        it to other rules and the client's token; it may be asynchronous, or raise a RequestError
        of its own.  It is asked for every command of a client, also more than once, and not for
        what the application does itself.  What nobody allows in these rooms is denied from then on.

        Args:
            actions: Of ``join``, ``publish``, ``subscribe``, ``presence`` and ``history``.
            room: A filter by the rules of MQTT; ``"#"`` is every room.

        Raises:
            ValueError, InvalidFilter: There is no such action; ``room`` is not a filter.
            RoomsError: The app is being served.
        """
        if self._node is not None:
            raise RoomsError("say app.authorize() before the app is served: rooms may be open now")

        def register(function: R) -> R:
            self.rules.add(make_rule(function, actions, room))
            return function

        return register

    def on_error(self, kind: type[Exception]) -> Callable[[ErrorHandler], ErrorHandler]:
        """Register what to reply when a handler raises ``kind``: gets the context and the error.

        Raises:
            ValueError: There is one for ``kind`` already.
        """

        def register(function: ErrorHandler) -> ErrorHandler:
            if self._error_handlers.setdefault(kind, function) is not function:
                raise ValueError(f"{kind.__name__} has an error handler already")
            return function

        return register

    def rooms(
        self,
        rooms: str,
        *,
        history: int | None = None,
        ttl: float | None = None,
        presence: PresenceMode | None = None,
        slow: SlowPolicy | None = None,
    ) -> None:
        """Say how the rooms that a filter names are kept: ``app.rooms("chat/#", history=1000)``.

        What is not said is left to the settings; of several that name a room, the last one holds.

        Args:
            rooms: A filter by the rules of MQTT; ``"#"`` is every room.
            history: How many publications are kept; 0 turns it off.
            ttl: For how many seconds each is kept.
            presence: Of what members are told: ``"users"`` who come and go, ``"connections"`` of
                each of those too, or ``"off"``: only how many users there are.
            slow: What happens when messages do not fit into what may wait for a client that reads
                too slowly: ``"disconnect"`` it, or ``"drop_oldest"`` or ``"drop_newest"`` of the
                room's messages, and tell it how many it lost once it reads.

        Raises:
            InvalidFilter: ``rooms`` is not a filter.
            ValueError: A number is out of its range, or a word is none of these.
        """
        if self._node is not None:
            raise RoomsError("say app.rooms() before the app is served: rooms may be open now")
        self.options.add(room_options(rooms, history, ttl, presence, slow))

    def include(self, other: App, prefix: str = "") -> None:
        """Take over the handlers of ``other``, with ``prefix`` before their events' names.

        Its ``connected`` and ``disconnected`` handlers, fallback, middleware, error handlers,
        rules, authenticators, endpoints and lifespan come along; they act on the whole
        application.

        Raises:
            ValueError: Both handle the same event or error, or have a fallback.
        """
        for handler in other.handlers:
            self._register(handler.renamed(prefix + handler.event))
        if other.handlers.fallback is not None:
            self.handlers.set_fallback(other.handlers.fallback)
        for hook in HOOKS:
            self.lifecycle[hook] += other.lifecycle[hook]
        for route in other.routes:
            self.routes.add(route)
        for options in other.options:
            self.options.add(options)
        for kind, function in other._error_handlers.items():
            self.on_error(kind)(function)
        for rule in other.rules:
            self.rules.add(rule)
        self.middlewares += other.middlewares
        self.http.include(other.http)
        self._include_auth(other)
        self._lifespans += other._lifespans

    def find_error_handler(self, error: Exception) -> ErrorHandler | None:
        """Return the handler for the nearest class of ``error``."""
        for kind in type(error).__mro__:
            if kind in self._error_handlers:
                return self._error_handlers[kind]
        return None

    def dialects_for(self, settings: Settings) -> Dialects:
        """Return what clients may speak under ``settings``, which can name the app's own, too.

        Raises:
            ConfigError: There is no dialect of a name.
            ValueError: Two of them mean the same path and subprotocol.
        """
        if settings.dialects:
            return Dialects(find_dialects(settings.dialects, self._dialects))
        return Dialects(self._dialects)

    # While it runs.

    @property
    def node(self) -> Node:
        """The live state.

        Raises:
            NotRunning: There is none.
        """
        if self._node is None:
            raise NotRunning
        return self._node

    @property
    def clients(self) -> dict[str, Client]:
        """All connected clients of this node, by id, but for those of `websockets`."""
        return self.node.clients

    @property
    def websockets(self) -> dict[str, WebSocket]:
        """All connections of this node to endpoints of the application's own, by id."""
        return self.node.websockets

    @property
    def room_names(self) -> list[str]:
        """The names of all rooms that somebody on this node is in, sorted."""
        return sorted(self.node.hub.rooms)

    def room(self, name: str) -> RoomHandle:
        """Return the room of that name, whether anybody is in it or not.

        Raises:
            InvalidName, ReservedName: No room can have that name.
        """
        return RoomHandle(self.node, name)

    async def broadcast(self, event: str, payload: Any = None, exclude: Iterable[str] = ()) -> None:
        """Send an event to every client of all nodes but those whose ids are excluded.

        Raises:
            TypeError: ``payload`` cannot be said in JSON.
            Unavailable: The other nodes cannot be told; the clients of this one have been.
        """
        await reach.broadcast(self.node, event, payload, exclude)

    async def send_to(self, ids: Iterable[str], event: str, payload: Any = None) -> int:
        """Send an event to some clients, of any node; returns how many of them are connected.

        Other nodes have two seconds to answer; one that does not is named in the log, and its
        clients are not counted.

        Raises:
            TypeError: ``payload`` cannot be said in JSON.
        """
        return await reach.send_to(self.node, ids, event, payload)

    async def disconnect(
        self, client_id: str, code: int = Forced.close_code, reason: str = Forced.default_reason
    ) -> bool | None:
        """End the connection of a client, of any node.

        Returns:
            Whether there was one; None if its node does not answer within two seconds.

        Raises:
            ValueError: ``code`` may not be sent (RFC 6455, section 7.4.2).
        """
        return await reach.close(self.node, client_id, code, reason)

    @asynccontextmanager
    async def running(
        self, settings: Settings | None = None, broker: Broker | None = None
    ) -> AsyncIterator[Node]:
        """Run the application, without a listener, while the block runs.

        Raises:
            RoomsError: It runs already.
        """
        if self._node is not None:
            raise RoomsError("this App is being served already")
        self._node = Node(self, settings or Settings(), broker)
        try:
            async with self._node.running(), AsyncExitStack() as stack:
                for lifespan in self._lifespans:
                    await stack.enter_async_context(lifespan(self))
                yield self._node
        finally:
            self._node = None

    def _register(self, handler: Handler) -> None:
        if handler.event not in HOOKS:
            check_event(handler.event)
            self.handlers.add(handler)
        elif self.lifecycle[handler.event]:
            raise ValueError(f"{handler.event!r} has a handler already")
        else:
            self.lifecycle[handler.event].append(handler)
