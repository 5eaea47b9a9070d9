"""Asks an application's authenticators who somebody is, and remembers who may not come back."""

from __future__ import annotations

import math
import time
import unicodedata
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from types import UnionType

import structlog
import trio
from msgspec.structs import replace

from rooms.core.grants import Grants
from rooms.core.identity import Identity
from rooms.errors import Refused, RequestError
from rooms.protocol.commands import User
from rooms.protocol.credentials import find_token, parse_cookies, split_ticket
from rooms.protocol.http import RequestHead
from rooms.protocol.names import check_name, check_user
from rooms.server.auth import Anonymous, Authenticator, Credentials
from rooms.server.exits import without_exit
from rooms.server.revocations import Revocations
from rooms.server.tickets import Tickets
from rooms.transports.base import Handshake

CHECKS = 256
"""How many credentials are checked at a time; others wait for their turn."""

TOKEN_BYTES = 16 * 1024
"""The longest token that anybody is asked about."""

LOGOUTS = 4096
"""How many users are remembered who were signed out last; checks from before that are none's."""

FAILED = 500
"""The status of a refusal that is the server's own failure."""

log = structlog.get_logger("rooms")


Redeem = Callable[[str, str], Awaitable[Identity | None]]


class Gate:
    """Says who a client is; a node that has none lets everybody in.

    Attributes:
        authenticators: Who is asked, in that order.
        anonymous: Whether whoever brings no credentials gets in, and not only as far as ``auth``.
        tickets: Those that are out.
        elsewhere: Redeems a ticket of another node for somebody.
        revocations: Which tokens hold no more.
        turn: Counts logouts, for `check_since`.
    """

    def __init__(self, authenticators: Iterable[Authenticator], revocations: Revocations) -> None:
        self.authenticators = tuple(authenticators)
        self._limiter = trio.CapacityLimiter(CHECKS)
        self.anonymous = any(isinstance(each, Anonymous) for each in self.authenticators)
        self.tickets = Tickets()
        self.elsewhere: Redeem = _nowhere
        self.revocations = revocations
        self.turn = 0
        self._logouts: dict[str, int] = {}  # in which turn; the oldest first
        self._forgotten = 0  # the last turn whose logout is not there any more

    async def admit(self, handshake: Handshake, head: RequestHead, who: str) -> Identity | None:
        """Return who asks for a connection, or None if the request does not tell.

        Args:
            who: Whose wrong tries are counted together.

        Raises:
            Refused: It tells something wrong.
        """
        ticket, _ = split_ticket(head.query)
        if ticket is None:
            return await self.identify(credentials_of(handshake, head.headers, head.subprotocols))
        turn = self.turn
        identity = await self.elsewhere(ticket, who)
        if identity is None:
            identity = self.tickets.redeem(ticket, time.time())
        if identity is None:
            raise Refused("The ticket is not known, or was used, or is too old: get a new one.")
        self.check_since(identity, turn)
        return identity

    async def identify(self, credentials: Credentials) -> Identity | None:
        """Return whose credentials these are, or None if they tell nobody anything.

        Raises:
            Refused: They are wrong, or revoked; with the status 500 if that could not be found
                out, which the log explains.
        """
        if len(credentials.token or "") > TOKEN_BYTES:
            raise Refused(f"A token can have {TOKEN_BYTES} bytes at most.")
        async with self._limiter:
            turn = self.turn
            identity = await self._ask(credentials)
        if identity is not None:
            self.check_since(identity, turn)
        elif credentials.token is not None:
            raise Refused("This token is of no kind that is known here.")
        return identity

    def log_out(self, user: str) -> None:
        """Take a user's tickets back, and have checks that are under way let the user not in."""
        self.tickets.drop(user)
        self.turn += 1
        self._logouts.pop(user, None)
        self._logouts[user] = self.turn
        if len(self._logouts) > LOGOUTS:
            self._forgotten = self._logouts.pop(next(iter(self._logouts)))

    def check_since(self, identity: Identity, turn: int) -> None:
        """As `check`, of what was found out, or began to be, in ``turn``.

        Raises:
            Refused: As there, or the user was signed out meanwhile: it may be from before that.
        """
        if self._logouts.get(identity.user.id, self._forgotten) > turn:
            raise Refused("You were signed out meanwhile: sign in again.")
        self.check(identity)

    def check(self, identity: Identity) -> None:
        """Return if ``identity`` still holds.

        Raises:
            Refused: It was revoked, or it has expired.
        """
        now = time.time()
        if self.revocations.cover(identity, now):
            raise Refused("This sign-in was revoked: sign in again.")
        if identity.expires_at is not None and identity.expires_at <= now:
            raise Refused("This sign-in has expired: sign in again.")

    def reload(self) -> None:
        """Have the authenticators read their files again.

        Raises:
            ConfigError: One of them cannot be used.
        """
        for each in self.authenticators:
            each.reload()

    async def _ask(self, credentials: Credentials) -> Identity | None:
        try:
            for each in self.authenticators:
                with without_exit():
                    identity = await each.authenticate(credentials)
                if identity is not None:
                    return _checked(identity)
        except Refused:
            raise
        except (Exception, SystemExit) as error:
            log.error("authenticator failed", remote=credentials.remote, exc_info=error)
            raise Refused("The server could not check that; it is in its log.", FAILED) from None
        return None


async def _nowhere(ticket: str, who: str) -> Identity | None:
    """There are no other nodes."""
    await trio.lowlevel.checkpoint()
    return None


def _checked(identity: Identity) -> Identity:
    """Return what an authenticator has found, with the user's name in Unicode's composed form.

    Raises:
        TypeError, ValueError: It could not be said to others, or would not end when it says.
        Refused: Nobody can be called that.
    """
    if not isinstance(identity, Identity):
        raise TypeError(f"an authenticator returned {type(identity).__name__}, not an Identity")
    for value, kind in _kinds(identity):
        if not isinstance(value, kind):
            raise TypeError(f"an authenticator returned an Identity with {type(value).__name__}")
    if identity.expires_at is not None and math.isnan(identity.expires_at):
        raise ValueError("an authenticator returned an Identity that expires at no time")
    identity.token_id.encode()  # half a surrogate pair is no text
    return replace(identity, user=_named(identity.user))


def _kinds(identity: Identity) -> Iterator[tuple[object, type | UnionType]]:
    """Return each value of an identity with what it must be: applications need no type checker."""
    yield identity.user, User
    yield identity.user.id, str
    yield identity.user.name, str
    yield identity.expires_at, float | int | None
    yield identity.token_id, str
    yield identity.grants, Grants | None
    yield identity.claims, Mapping


def _named(user: User) -> User:
    """Return ``user`` as others see it.

    Raises:
        Refused: Nobody can be called that.
    """
    name = unicodedata.normalize("NFC", user.name)
    try:
        check_user(user.id)
        if name:
            check_name(name)
    except RequestError as error:
        raise Refused(f"Nobody can be signed in under that id or name: {error}", 403) from None
    return user if name == user.name else User(user.id, name)


def credentials_of(
    handshake: Handshake, headers: Mapping[str, str], subprotocols: Iterable[str] = ()
) -> Credentials:
    """Return what a request brings.

    Args:
        handshake: Of the request, without its secrets.
        headers: Of the request, with them.
        subprotocols: With them.

    Raises:
        Refused: It brings a token that cannot be read.
    """
    try:
        token, source = find_token(headers, subprotocols) or (None, "none")
    except ValueError as error:
        raise Refused(f"The token cannot be read: {error}.") from None
    return Credentials(
        handshake.path,
        handshake.query,
        headers,
        handshake.remote,
        parse_cookies(headers),
        token,
        source,
        handshake.certificate,
    )


def credentials_said(handshake: Handshake, token: str) -> Credentials:
    """Return what a message ``auth`` brings: the token, and nothing else that proves anything."""
    headers = {name: text for name, text in handshake.headers.items() if name != "cookie"}
    return Credentials(
        handshake.path, handshake.query, headers, handshake.remote, {}, token, "message"
    )
