"""The contract of a wire dialect; `rooms.testing.dialects` has a test for each sentence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import ClassVar, NamedTuple

from rooms.errors import Disconnect
from rooms.protocol.commands import Message
from rooms.protocol.foreign import Said
from rooms.protocol.frames import close_frame

Decoded = Said | tuple[Said, ...]
"""What one message holds: a command, or any number of them, to be done in that order."""

Decode = Callable[[bytes, bool], Decoded]
"""As `Dialect.decode`."""


class Voice(NamedTuple):
    """What a dialect makes of one connection; most make the same of all.

    Attributes:
        decode: As `Dialect.decode`, with whatever is to be known of the connection.
        name: What others call the connection; a name that is taken is refused.
        first: Done as soon as the connection is open, as if the client had said it.
    """

    decode: Decode
    name: str | None = None
    first: tuple[Said, ...] = ()


class Dialect(ABC):
    """How one kind of client spells commands and reads messages.

    A dialect is shared by all its connections, so that what a room publishes is encoded once for
    all of them; what differs between them is in their `Voice`.  It knows nothing of rooms,
    brokers or sockets.
    """

    name: ClassVar[str]
    """What settings call it."""

    paths: ClassVar[tuple[str, ...]]
    """Where its clients connect: patterns as of `rooms.protocol.paths.PathPattern`."""

    subprotocols: ClassVar[tuple[str, ...]] = ()
    """The ``Sec-WebSocket-Protocol`` names that mean this dialect.

    Where none that is known is offered, the first dialect of the path is meant.
    """

    signs_in: ClassVar[bool] = True
    """Whether its clients can say `Auth`; others have to sign in with the request."""

    def open(self, parameters: Mapping[str, str]) -> Voice:
        """Return what is particular to a new connection.

        Args:
            parameters: What the path's pattern names and, under other names, what the query
                says, percent-decoded.

        Raises:
            RequestError: There can be no such connection; it is refused with 400 Bad Request.
        """
        return self._plain_voice

    @cached_property
    def _plain_voice(self) -> Voice:
        return Voice(self.decode)  # one for all connections

    @abstractmethod
    def decode(self, payload: bytes, binary: bool) -> Decoded:
        """Return what one message holds.

        Raises:
            RequestError: It holds nothing that can be done; nothing else is ever raised.  The
                error carries the command's ``id`` where that could be read.
        """

    @abstractmethod
    def encode(self, message: Message) -> bytes:
        """Return the complete, unmasked frames that carry ``message`` (RFC 6455, section 5.2).

        Nothing (``b""``) where this dialect has no word for it; never raises.
        """

    def encode_close(self, reason: Disconnect) -> bytes:
        """Return the frames that end a connection, of which a Close frame is the last."""
        return close_frame(reason.code, reason.reason)
