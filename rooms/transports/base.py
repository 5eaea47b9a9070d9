"""What a session needs of a connection, and what a connection needs of a session."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from rooms.errors import Disconnect
from rooms.protocol.certificate import Certificate
from rooms.protocol.http import parse_headers


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a client said when it asked for a connection; its ``repr`` shows no cookie.

    Attributes:
        path: Without the query.
        head: The request's head as it came; it takes a third of the memory that its headers take.
        subprotocols: Offered by the client, most wanted first.
        remote: The peer's address as text, for people and logs.
        certificate: The client's own, if it showed one in the TLS handshake.
    """

    path: str
    query: str = field(repr=False)
    head: bytes = field(repr=False)
    subprotocols: tuple[str, ...]
    remote: str
    certificate: Certificate | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The request's headers: names in lower case; what was sent twice is one list."""
        return parse_headers(self.head)


class Pace(Protocol):
    """How much may arrive."""

    bytes: int
    """The count of bytes up to which nothing need be done."""


class Receiver(Protocol):
    """Takes what arrives on a connection.  Plain calls that never block and never raise."""

    heard: bool
    """Set whenever anything arrives: a sign of life."""

    full: bool
    """Whether no more should be given for now; the receiver says when it may be again."""

    received_bytes: int
    """Counts the bytes that were read, before any message in them is given."""

    @property
    def pace(self) -> Pace:
        """What they may be without further ado."""
        ...

    def overdraw(self, frames: int = 0) -> None:
        """Take note of bytes beyond ``pace``, or of frames that are no whole messages.

        Args:
            frames: Control frames and fragments.
        """
        ...

    def receive(self, opcode: int, payload: bytes) -> None:
        """Take one whole message, text already known to be UTF-8."""
        ...

    def ponged(self, payload: bytes) -> None:
        """Take note of a pong (RFC 6455, section 5.5.3); of several in one read, of the last."""
        ...

    def end(self, reason: Disconnect) -> None:
        """End the connection, for what it did."""
        ...

    def ended(self, clean: bool) -> None:
        """Take note that nothing more will come; may be called more than once.

        Args:
            clean: The peer said goodbye; else the connection was lost, and nobody waits for what
                it still asked for.
        """
        ...


class FrameWriter(Protocol):
    """Takes whole frames to be sent.  Plain calls that never block and never raise."""

    def write(self, frames: bytes) -> None:
        """Send whole frames, after all that was given before."""
        ...

    def finish(self, last: bytes) -> None:
        """Send the last frame of all."""
        ...


class DrainingWriter(FrameWriter, Protocol):
    """A writer that says when all is written; an outbox."""

    broken: bool
    """Whether nothing can be written any more."""

    @property
    def waiting_bytes(self) -> int:
        """How much has not been written yet."""
        ...

    async def drained(self) -> None:
        """Wait until everything is written, or nothing can be any more."""
        ...


class Owner(Protocol):
    """Is told by an endpoint what arrives.  The calls never raise."""

    def read(self, size: int) -> None:
        """Take note of bytes that were read."""
        ...

    async def pace(self) -> None:
        """Return when more may be read."""
        ...

    def ponged(self, payload: bytes) -> None:
        """Take note of a pong."""
        ...

    def ended(self, reason: Disconnect) -> None:
        """Take note that nothing more can be received."""
        ...


class Link(ABC):
    """The bytes of one connection."""

    __slots__ = ()

    secure: bool = False
    """Whether nobody between the two ends can read along."""

    send_nowait: Callable[[bytes], int]
    """Send what can be sent at once and return how much that was.

    Raises:
        BlockingIOError: That was nothing.
        OSError: The connection is gone.
    """

    @abstractmethod
    async def send_all(self, data: bytes) -> None:
        """Send everything; cut short, it leaves a torn frame behind.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: The connection is gone.
        """

    @abstractmethod
    async def receive_some(self) -> bytes:
        """Return what arrived, at least a byte, or nothing at the end.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: The connection is gone.
        """

    def watch(self, call: Callable[[bytes], None]) -> bool:
        """Have ``call`` called with whatever arrives, and with nothing at the end.

        Returns:
            Whether that is so from now on; if not, `receive_some` must be awaited.
        """
        return False

    def pause(self) -> None:  # noqa: B027  # a link that is not watched has nothing to do
        """Call only if the peer leaves, until `resume`."""

    def resume(self) -> None:  # noqa: B027
        """Undo `pause`."""

    def progress(self) -> int | None:
        """Return a number that grows when the peer's machine confirms bytes, and only then.

        None means that nothing is known of what arrives there.
        """
        return None

    @abstractmethod
    async def finish(self) -> None:
        """Say that nothing more will be sent and wait until the peer has closed its side.

        Closing without that may destroy what the peer has not read yet (RFC 6455, section 7.1.1).
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connection; whatever was being sent is lost."""
