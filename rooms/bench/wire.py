"""What the load generator has to know of a protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod

from msgspec import Struct

from rooms.bench.errors import Refused
from rooms.bench.frames import STAMP, client_frame
from rooms.bench.plan import Plan
from rooms.protocol.commands import Position
from rooms.protocol.frames import TEXT


class Step(Struct, frozen=True):
    """What a client does next on its way into its room.

    Attributes:
        send: Texts for the server.
        ready: Whether it is in, and knows all that it missed.
        position: Where the room stood then, if the server told it.
        missed: The numbers of publications that the server told it has missed.
    """

    send: tuple[bytes, ...] = ()
    ready: bool = False
    position: Position | None = None
    missed: tuple[int, ...] = ()


WAIT = Step()
READY = Step(ready=True)


class WireProtocol(ABC):
    """What a client says to get into a room and to publish there.

    Attributes:
        join: Whether clients become members, or only connect.
        request: Whether publications are requests to the server, which sends them back.
        mark: What a frame that is counted holds, up to the digits of its stamp.
        opcode: Of the frames, both ways; the texts that are spoken of here may be binary.
        subprotocol: What clients ask for in the handshake, if anything.
    """

    mark = STAMP
    opcode = TEXT
    subprotocol: str | None = None

    def __init__(self, plan: Plan) -> None:
        self.join = plan.join
        self.request = plan.request

    @abstractmethod
    def path(self, room: int) -> str:
        """Return the path for a client of that room."""

    @abstractmethod
    def advance(self, room: int, text: bytes | None) -> Step:
        """Say what follows the upgrade (None) or the server's ``text``, until all is ready.

        Raises:
            Refused: The server said no.
        """

    @abstractmethod
    def publication(self, room: int, payload: bytes, stamp: bytes) -> bytes:
        """Return the text that publishes a payload, which holds ``stamp``."""

    def answer(self, text: bytes) -> bytes | None:
        """Return what a text other than a delivery must be answered with, if anything.

        Raises:
            Refused: The text says that something went wrong.
        """
        return None

    def frame(self, text: bytes) -> bytes:
        """Return the frame in which a client says ``text``."""
        return client_frame(text, self.opcode)


def refusal(text: bytes) -> Refused:
    """Return the error that the server's ``text`` is."""
    return Refused(f"the server answered {text[:200].decode(errors='replace')}")
