"""How the load generator talks to servers of different kinds."""

from __future__ import annotations

from abc import ABC, abstractmethod

import msgspec
from msgspec import Struct

from rooms.bench.errors import Refused


class Step(Struct, frozen=True):
    """What a client does next on its way into its room."""

    send: tuple[bytes, ...] = ()
    ready: bool = False


WAIT = Step()
READY = Step(ready=True)


class WireProtocol(ABC):
    """What a client says to get into a room and to publish there.

    Args:
        join: Whether clients become members, or only connect.
        request: Whether publications are requests to the server, which sends them back.
    """

    def __init__(self, join: bool, request: bool) -> None:
        self.join = join
        self.request = request

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
    def publication(self, room: int, payload: bytes) -> bytes:
        """Return the text that publishes a payload."""

    def answer(self, text: bytes) -> bytes | None:
        """Return what a text other than a delivery must be answered with, if anything.

        Raises:
            Refused: The text says that something went wrong.
        """
        return None


class Native(WireProtocol):
    """Rooms' own protocol."""

    def path(self, room: int) -> str:
        return "/ws"

    def advance(self, room: int, text: bytes | None) -> Step:
        if text is None:
            return (
                Step(send=(b'{"type":"join","room":"r%d","id":1}' % room,)) if self.join else WAIT
            )
        self.answer(text)
        return READY if _kind(text) == ("reply" if self.join else "welcome") else WAIT

    def publication(self, room: int, payload: bytes) -> bytes:
        if self.request:
            return b'{"type":"event","event":"echo","id":1,"payload":%b}' % payload
        return b'{"type":"event","event":"bench","room":"r%d","payload":%b}' % (room, payload)

    def answer(self, text: bytes) -> bytes | None:
        if _kind(text) == "error":
            raise Refused(f"the server answered {text[:200].decode(errors='replace')}")
        return None


class Plain(WireProtocol):
    """Servers that send each text on as it came, to the room that the path names."""

    def path(self, room: int) -> str:
        return "/echo" if self.request else f"/r/{room}"

    def advance(self, room: int, text: bytes | None) -> Step:
        return READY

    def publication(self, room: int, payload: bytes) -> bytes:
        return payload


class SocketIo(WireProtocol):
    """Socket.IO 5 over Engine.IO 4, WebSocket only; events ``join``, ``message`` and ``echo``."""

    def path(self, room: int) -> str:
        return "/socket.io/?EIO=4&transport=websocket"

    def advance(self, room: int, text: bytes | None) -> Step:
        if text is None:
            return WAIT
        if text.startswith(b"0"):
            return Step(send=(b"40",))
        if text.startswith(b"44"):
            raise Refused(f"the server answered {text[:200].decode(errors='replace')}")
        if text.startswith(b"40"):
            return Step(send=(b'42["join","r%d"]' % room,)) if self.join else READY
        return READY if text.startswith(b'42["joined"') else WAIT

    def publication(self, room: int, payload: bytes) -> bytes:
        return b'42["%b",%b]' % (b"echo" if self.request else b"message", payload)

    def answer(self, text: bytes) -> bytes | None:
        return b"3" if text == b"2" else None


PROTOCOLS: dict[str, type[WireProtocol]] = {
    "native": Native,
    "plain": Plain,
    "socketio": SocketIo,
}


class _Tagged(Struct):
    type: str = ""


_decode = msgspec.json.Decoder(_Tagged).decode


def _kind(text: bytes) -> str:
    try:
        return _decode(text).type
    except msgspec.MsgspecError:
        return ""
