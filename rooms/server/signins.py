"""The part of an application that is about who its clients are."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rooms.errors import ConfigError, Forced
from rooms.protocol.bus import EndUser, Recheck, Revoke
from rooms.server.auth import (
    TTL_SECONDS,
    Authenticator,
    AuthFunction,
    OwnCheck,
    TokenMaker,
    authenticators,
)
from rooms.server.endings import SIGNED_OUT
from rooms.server.node import Node
from rooms.server.questions import everywhere
from rooms.server.revalidation import Revalidate, Revalidation


class SignIns(ABC):
    """Says who gets in, for how long, and ends it; every `App` is one.

    Attributes:
        auth: Who is asked, in that order.
        revalidation: What is asked again and again of those who are in, if anything.
    """

    def __init__(self, auth: Authenticator | Sequence[Authenticator] | None) -> None:
        self.auth = authenticators(auth)
        self.revalidation: Revalidation | None = None

    @property
    @abstractmethod
    def node(self) -> Node:
        """The live state."""

    def authenticate(self, function: AuthFunction) -> AuthFunction:
        """Register a function that says who a client is: it gets the `Credentials`.

        It returns a `User` or an `Identity`, or None to refuse the client, or raises `Refused`
        to say why; it may be asynchronous.  It is asked after the authenticators of ``auth``.
        """
        self.auth.append(OwnCheck(function))
        return function

    def make_token(
        self,
        user: str,
        *,
        ttl: float = TTL_SECONDS,
        name: str = "",
        rooms: Mapping[str, Iterable[str]] | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> str:
        """Return a token that this application takes, for one room or whatever ``rooms`` says.

        Arguments are as in `JWT.make`; the `JWT` is the first that has a secret, of ``auth`` or
        of the settings that the application is served with.

        Raises:
            ConfigError: There is none.
            ValueError: The token would not be taken.
        """
        auth = self.auth or (self.node.gate.authenticators if self.node.gate else ())
        for each in auth:
            if isinstance(each, TokenMaker) and each.can_make:
                return each.make(user, ttl=ttl, name=name, rooms=rooms, claims=claims)
        raise ConfigError("Tokens are made with a secret only: set jwt_secret or jwt_secret_file.")

    def revalidate(self, seconds: float = 60.0) -> Callable[[Revalidate], Revalidate]:
        """Register a function that is asked about each signed-in client, once in ``seconds``.

        It gets the `Client`, or the `WebSocket` of an endpoint, and may be asynchronous; if it
        returns False or raises `Refused` the connection is ended with 3500.  An answer that fails
        or does not come changes nothing.

        Raises:
            ValueError: There is one already, or ``seconds`` is not positive.
        """
        if not seconds > 0:
            raise ValueError("seconds must be positive")

        def register(function: Revalidate) -> Revalidate:
            if self.revalidation is not None:
                raise ValueError("there is a function that revalidates already")
            self.revalidation = Revalidation(function, seconds)
            return function

        return register

    def revoke(
        self,
        *,
        user: str | None = None,
        token_id: str | None = None,
        expires_at: float | None = None,
    ) -> int:
        """End the connections of a token or a user, with 3500, and refuse their tokens from now on.

        Of a user those tokens are refused that say by ``iat`` that they were issued up to now, and
        those that the connections have signed in with; a newer one is welcome.

        Args:
            user: By id.
            token_id: As in `Identity.token_id`, for a JWT its ``jti``.
            expires_at: Seconds since 1970 up to which that is remembered; if not given,
                ``revocation_seconds`` from now, or until the tokens end where that is known.

        Returns:
            How many connections of this node were ended; those of others are ended soon.

        Raises:
            ValueError: Neither is given, or one is no text, as half a surrogate pair is none.
        """
        if user is None and token_id is None:
            raise ValueError("give a user, or a token_id")
        ended: int = everywhere(self.node, Revoke(user, token_id, expires_at, time.time()))
        return ended

    def logout(self, user: str) -> int:
        """End all connections of a user, with 3503; return how many this node had.

        Tokens and cookies that the user still has are good for new connections: take them away,
        or see `revoke`.
        """
        code = Forced.close_code
        ended: int = everywhere(self.node, EndUser(user, None, code, SIGNED_OUT))
        return ended

    def recheck(self, user: str | None = None) -> None:
        """Ask anew who may stay where they are, because the answers may have changed.

        Every command is asked for anyway; this is for those who only listen.  Whoever may not
        stay is taken out and told; on other nodes as soon as they have heard of it.

        Args:
            user: Only of this one, by id.
        """
        everywhere(self.node, Recheck(user))

    def _include_auth(self, other: SignIns) -> None:
        self.auth += other.auth
        self.revalidation = self.revalidation or other.revalidation
