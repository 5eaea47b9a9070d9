"""The contract of a wire dialect, and the registry of those that this server speaks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from rooms.protocol.commands import Command, Message


class Dialect(ABC):
    """How one kind of client spells commands and reads messages.

    A dialect is stateless and shared by all its connections; it knows nothing of rooms, brokers
    or sockets.
    """

    path: ClassVar[str]
    """Where clients of this dialect connect."""

    subprotocols: ClassVar[tuple[str, ...]] = ()
    """The ``Sec-WebSocket-Protocol`` names that mean this dialect; none given means it too."""

    @abstractmethod
    def decode(self, payload: bytes, binary: bool) -> Command:
        """Return the command that one message holds.

        Raises:
            RequestError: It holds none; nothing else is ever raised.  The error carries the
                command's ``id`` where that could be read.
        """

    @abstractmethod
    def encode(self, message: Message) -> bytes:
        """Return the complete, unmasked frames that carry ``message`` (RFC 6455, section 5.2)."""
