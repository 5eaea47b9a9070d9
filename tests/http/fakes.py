"""An application without a server, for the tests of the site."""

from __future__ import annotations

import secrets
from collections.abc import Container
from pathlib import Path
from typing import Any, ClassVar, cast

from quart.typing import TestClientProtocol

from rooms.config import Settings
from rooms.http.site import create_site
from rooms.protocol.bus import NodeInfo
from rooms.protocol.commands import Position, User
from rooms.protocol.origin import Origins
from rooms.server.app import App
from rooms.server.counters import Counters
from rooms.server.pages import Pages
from rooms.server.revocations import Revocations
from rooms.server.routes import Routes

TOKEN = "a token that opens"


class FakeClient:
    """A connection that remembers what was asked of it."""

    def __init__(self, client_id: str, user: User | None = None) -> None:
        self.id = client_id
        self.user = user
        self.remote = "127.0.0.1:50000"
        self.path = "/ws"
        self.rooms: list[str] = []
        self.connected_at = 1_800_000_000.0
        self.latency: float | None = None
        self.waiting_bytes = 0
        self.sent: list[tuple[str, Any]] = []
        self.closed: tuple[int, str] | None = None

    async def send(self, event: str, payload: Any) -> None:
        self.sent.append((event, payload))

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)


class FakeRoom:
    """A room that remembers what was published to it."""

    def __init__(self, name: str, members: list[FakeClient]) -> None:
        self.name = name
        self.members = members
        self.count = len(members)
        self.position = Position("e1", 0)
        self.published: list[tuple[str, Any]] = []

    async def publish(self, event: str, payload: Any) -> Position:
        self.published.append((event, payload))
        return Position("e1", len(self.published))


class FakeBroker:
    """As much of a broker as readiness needs."""

    problem: str | None = None


class FakeLag:
    """How late the event loop is said to be."""

    seconds = 0.0


class FakeAdmission:
    """How many connections there are said to be, and whose word and pages are believed."""

    connections = 3

    def __init__(self) -> None:
        self.proxies: Container[str] = ()
        self.cors = Origins()


class FakeNode:
    """As much of a node as readiness needs."""

    draining = False
    overloaded = False
    life = "n1"
    cluster = None
    info = NodeInfo("n1", version="1", started_at=1_800_000_000.0, host="h", pid=7, clients=2)
    sessions: ClassVar[dict[str, Any]] = {}
    endpoints: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        self.settings = Settings(admin_token=TOKEN)
        self.broker = FakeBroker()
        self.lag = FakeLag()
        self.admission = FakeAdmission()
        self.counters = Counters()
        self.secret = secrets.token_hex()
        self.revocations = Revocations()
        self.gate = None
        self.connections: list[Any] = []


class FakeApp:
    """As much of an `App` as the admin API asks for."""

    def __init__(self) -> None:
        self.node = FakeNode()
        self.clients: dict[str, FakeClient] = {}
        self.websockets: dict[str, FakeClient] = {}
        self.opened: dict[str, FakeRoom] = {}
        self.http = Pages()
        self.routes = Routes()

    @property
    def room_names(self) -> list[str]:
        return [name for name, room in self.opened.items() if room.members]

    def room(self, name: str) -> FakeRoom:
        return self.opened.setdefault(name, FakeRoom(name, []))

    def connect(self, client_id: str, *rooms: str, user: User | None = None) -> FakeClient:
        client = self.clients[client_id] = FakeClient(client_id, user)
        client.rooms = sorted(rooms)
        for name in rooms:
            self.opened[name] = FakeRoom(name, [*self.room(name).members, client])
        return client


def site_client(
    app: FakeApp, settings: Settings | None = None, **options: Any
) -> TestClientProtocol:
    """Return a client of the site of ``app``."""
    chosen = app.node.settings = settings or app.node.settings
    options.setdefault("web", Path(__file__).parent)  # any folder will do
    return create_site(cast(App, app), chosen, **options).test_client()
