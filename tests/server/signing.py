"""An application that knows who somebody is by a few tokens, for tests of signing in."""

from __future__ import annotations

import base64
import time
from typing import Any

import msgspec
import trio

from rooms import App, Authenticator, Context, Credentials, Identity, Refused, User
from rooms.testing import Closed, MemoryServer, TestClient

ANA, BEN = User("ana", "Ana"), User("ben", "Ben")


class Tokens(Authenticator):
    """Knows tokens by heart.

    Attributes:
        identities: By token.
        asked: Of which credentials.
        open: Only while it is set anybody gets an answer.
    """

    def __init__(self) -> None:
        self.identities = {"ana": Identity(user=ANA), "ben": Identity(user=BEN)}
        self.asked: list[Credentials] = []
        self.open = trio.Event()
        self.open.set()

    async def authenticate(self, credentials: Credentials) -> Identity | None:
        self.asked.append(credentials)
        await self.open.wait()
        if credentials.token is None:
            return None
        if credentials.token == "crash":
            raise RuntimeError("out of order")
        if credentials.token not in self.identities:
            raise Refused("That token is nobody's.", 403 if credentials.token == "ban" else 401)
        return self.identities[credentials.token]

    def add(self, token: str, user: User = ANA, seconds: float | None = None, **more: Any) -> None:
        """Know one token more, which expires in so many seconds."""
        until = None if seconds is None else time.time() + seconds
        self.identities[token] = Identity(user=user, expires_at=until, token_id=token, **more)


class Club:
    """Such an application, and what has happened in it."""

    def __init__(self, **options: Any) -> None:
        self.tokens = Tokens()
        self.app = App(relay=True, auth=[self.tokens, *options.pop("auth", ())], **options)
        self.happened: list[str] = []
        self.app.on("connected")(self._connected)
        self.app.on("disconnected")(self._disconnected)
        self.app.on("whoami")(self._whoami)

    def _connected(self, ctx: Context[Any]) -> None:
        self.happened.append("connected")

    def _disconnected(self, ctx: Context[Any]) -> None:
        self.happened.append("disconnected")

    def _whoami(self, ctx: Context[Any]) -> dict[str, Any]:
        user = ctx.client.user
        return {"user": None if user is None else user.id, "claims": dict(ctx.client.claims)}


def bearer(token: str) -> str:
    """Return the header that carries a token."""
    return f"Authorization: Bearer {token}\r\n"


def offered(token: str) -> str:
    """Return the subprotocol that carries a token."""
    return "rooms.token." + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


async def knock(server: MemoryServer, headers: str = "", path: str = "/ws") -> TestClient:
    """Ask for a connection, and take nothing of what is said on it."""
    client = TestClient(server.open_stream())
    await client.handshake(path, headers)
    return client


async def end_of(client: TestClient) -> tuple[int, str]:
    """Return the code and the reason with which the server ends a connection."""
    closed: Closed = await client.closing()
    return closed.code, closed.reason


def error_in(answer: bytes) -> dict[str, str]:
    """Return the error that a refusal carries."""
    content: dict[str, dict[str, str]] = msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])
    return content["error"]
