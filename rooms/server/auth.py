"""Who somebody is: what a client brings to prove it, and the contract of those who check it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rooms.core.identity import Identity
from rooms.errors import Refused
from rooms.protocol.certificate import Certificate
from rooms.protocol.commands import User

TTL_SECONDS = 3600.0
"""How long a token holds that is made without saying how long."""

Source = Literal["header", "subprotocol", "message", "none"]
"""Where a token was found."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client brings; nothing of it is shown by its ``repr``, for logs.

    Attributes:
        path: Of the request, without the query.
        query: As it came, but for a ticket.
        headers: Of the request: names in lower case; of one sent twice, the values joined by a
            comma.
        remote: The client's address as text.
        cookies: Of the request, by name.
        token: Taken from its source already; None if there is none.
        certificate: The client's own, if it showed one in the TLS handshake.
        source: Where the token was found: the header ``Authorization: Bearer …``, a subprotocol
            ``rooms.token.…`` or the message ``auth``.
    """

    path: str
    query: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    remote: str = ""
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: str | None = field(default=None, repr=False)
    source: Source = "none"
    certificate: Certificate | None = field(default=None, repr=False)


class Authenticator(ABC):
    """Checks one kind of credentials.  Called at the handshake and for each message ``auth``.

    It may be slow, but not for ever: a client that asks to be let in has ``head_seconds`` for
    everything, one that says ``auth`` has ``auth_seconds``.
    """

    @abstractmethod
    async def authenticate(self, credentials: Credentials) -> Identity | None:
        """Return who it is, or None if these credentials do not concern this authenticator.

        Raises:
            Refused: They do, and they do not prove anything.
        """

    def reload(self) -> None:  # noqa: B027 - most have nothing to read again
        """Read files again, if it has read any; called when the server reloads its settings.

        Raises:
            ConfigError: One cannot be used; what was read before holds.
        """


class TokenMaker(Authenticator):
    """One that can also make what it takes."""

    @property
    @abstractmethod
    def can_make(self) -> bool:
        """Whether it has what it takes to make tokens."""

    @abstractmethod
    def make(
        self,
        user: str,
        *,
        ttl: float = TTL_SECONDS,
        name: str = "",
        rooms: Mapping[str, Iterable[str]] | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> str:
        """Return a token for ``user`` that this object takes.

        Args:
            ttl: Seconds for which it holds.
            name: As others see it.
            rooms: What may be done where: filters of rooms, each with a list of ``join``,
                ``publish``, ``subscribe``, ``presence`` and ``history``.  Without it the
                application decides.
            claims: What else it says.

        Raises:
            ConfigError: It cannot make any.
            ValueError: The token would not be taken.
        """


class Anonymous(Authenticator):
    """Lets in, without a name, whoever brings no credentials; wrong ones are still refused.

    Put it beside others: ``App(auth=[JWT(…), Anonymous()])``.
    """

    async def authenticate(self, credentials: Credentials) -> Identity | None:
        return None


AuthFunction = Callable[[Credentials], "User | Identity | Awaitable[User | Identity | None] | None"]
"""An application's own check of credentials, plain or asynchronous."""


class OwnCheck(Authenticator):
    """Asks a function of the application: ``@app.authenticate``."""

    def __init__(self, function: AuthFunction) -> None:
        self._function = function

    async def authenticate(self, credentials: Credentials) -> Identity | None:
        found = self._function(credentials)
        if isinstance(found, Awaitable):
            found = await found
        if isinstance(found, User):
            return Identity(user=found)
        if found is None and brings_any(credentials):
            raise Refused("Sign in with other credentials: these are not known here.")
        return found


def brings_any(credentials: Credentials) -> bool:
    """Whether a client has brought anything at all that could say who it is."""
    headers = credentials.headers
    return credentials.token is not None or "authorization" in headers or "cookie" in headers


def authenticators(auth: Authenticator | Sequence[Authenticator] | None) -> list[Authenticator]:
    """Return one or several as a list.

    Raises:
        TypeError: One is none; functions are registered with ``@app.authenticate``.
    """
    every = [] if auth is None else [auth] if isinstance(auth, Authenticator) else list(auth)
    for each in every:
        if not isinstance(each, Authenticator):
            raise TypeError(f"{each!r} is no Authenticator; for a function use @app.authenticate")
    return every
