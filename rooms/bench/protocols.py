"""How the load generator talks to servers of different kinds."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from rooms.bench.dialects import Fdw, Tranzit, Zaptools
from rooms.bench.errors import Refused
from rooms.bench.frames import STAMP, stamp_number
from rooms.bench.plan import Plan
from rooms.bench.wire import READY, WAIT, Step, WireProtocol, refusal
from rooms.protocol.commands import Position
from rooms.protocol.frames import BINARY


class Native(WireProtocol):
    """Rooms' own protocol.

    Where replies are counted, a publication's id is its stamp, which the reply brings back.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._rooms = plan.rooms
        self._acknowledge, self._keys = plan.acknowledge, plan.keys
        if plan.acknowledge:
            self.mark = b'{"type":"reply","id":"' + STAMP  # an error has the same id

    def path(self, room: int) -> str:
        return "/ws"

    def advance(self, room: int, text: bytes | None) -> Step:
        if text is None:
            return Step(send=(self._join(room),)) if self.join else WAIT
        self.answer(text)
        kind = _kind(text)
        if kind == "reply" and self.join:
            return Step(ready=True, position=_read_reply(text).position)
        return READY if kind == "welcome" and not self.join else WAIT

    def publication(self, room: int, payload: bytes, stamp: bytes) -> bytes:
        if self.request:
            return b'{"type":"event","event":"echo","id":1,"payload":%b}' % payload
        more = b',"id":"%b"' % stamp if self._acknowledge else b""
        if self._keys:
            more += b',"key":"%b"' % stamp
        name = self._name(room)
        return b'{"type":"event","event":"bench","room":"%b"%b,"payload":%b}' % (
            name,
            more,
            payload,
        )

    def answer(self, text: bytes) -> bytes | None:
        if _kind(text) == "error":
            raise refusal(text)
        return None

    def _name(self, room: int) -> bytes:
        return b"r%d" % (room % self._rooms)

    def _join(self, room: int) -> bytes:
        return b'{"type":"join","room":"%b","id":1}' % self._name(room)


class Returning(Native):
    """Rooms' own protocol for clients that come back and ask for what they missed.

    Args:
        plan: The measurement.
        seen: For each room the last position that its members know.
    """

    def __init__(self, plan: Plan, seen: Mapping[int, Position]) -> None:
        super().__init__(plan)
        self._seen = seen

    def advance(self, room: int, text: bytes | None) -> Step:
        if text is None:
            return super().advance(room, text)
        self.answer(text)
        kind = _kind(text)
        if kind not in ("reply", "missed"):
            return WAIT
        reply = _read_reply(text)
        if kind == "reply" and not reply.recovered:
            raise Refused(f"what was missed is lost: {reply.reason or 'nobody says why'}")
        missed = tuple(stamp_number(each.payload.stamp) for each in reply.missed)
        return Step(missed=missed, ready=not reply.more, position=reply.position)

    def _join(self, room: int) -> bytes:
        if room not in self._seen:
            raise Refused("the server told no position, so nobody can ask what was missed")
        since = msgspec.json.encode(self._seen[room])
        return b'{"type":"join","room":"%b","since":%b,"id":1}' % (self._name(room), since)


class MessagePack(WireProtocol):
    """Rooms' own protocol in MessagePack: what `Native` says and hears, in other words."""

    opcode = BINARY
    subprotocol = "rooms.v1.msgpack"

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._native = Native(plan)

    def path(self, room: int) -> str:
        return self._native.path(room)

    def advance(self, room: int, text: bytes | None) -> Step:
        step = self._native.advance(room, None if text is None else _to_json(text))
        return replace(step, send=tuple(_to_msgpack(said) for said in step.send))

    def publication(self, room: int, payload: bytes, stamp: bytes) -> bytes:
        return _to_msgpack(self._native.publication(room, payload, stamp))

    def answer(self, text: bytes) -> bytes | None:
        return self._native.answer(_to_json(text))


class Plain(WireProtocol):
    """Servers that send each text on as it came, to the room that the path names."""

    def path(self, room: int) -> str:
        return "/echo" if self.request else f"/r/{room}"

    def advance(self, room: int, text: bytes | None) -> Step:
        return READY

    def publication(self, room: int, payload: bytes, stamp: bytes) -> bytes:
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
            raise refusal(text)
        if text.startswith(b"40"):
            return Step(send=(b'42["join","r%d"]' % room,)) if self.join else READY
        return READY if text.startswith(b'42["joined"') else WAIT

    def publication(self, room: int, payload: bytes, stamp: bytes) -> bytes:
        return b'42["%b",%b]' % (b"echo" if self.request else b"message", payload)

    def answer(self, text: bytes) -> bytes | None:
        return b"3" if text == b"2" else None


PROTOCOLS: dict[str, type[WireProtocol]] = {
    "native": Native,
    "msgpack": MessagePack,
    "zaptools": Zaptools,
    "fdw": Fdw,
    "tranzit": Tranzit,
    "plain": Plain,
    "socketio": SocketIo,
}


class _Tagged(Struct):
    type: str = ""


class _Stamped(Struct):
    stamp: str = ""


class _Missed(Struct):
    payload: _Stamped


class _Reply(Struct):
    """The part of a reply, or of a ``missed`` frame, that a client looks at."""

    position: Position | None = None
    recovered: bool = False
    reason: str = ""
    missed: list[_Missed] = []
    more: bool = False


_decode = msgspec.json.Decoder(_Tagged).decode
_decode_reply = msgspec.json.Decoder(_Reply).decode


def _to_json(text: bytes) -> bytes:
    try:
        return msgspec.json.encode(msgspec.msgpack.decode(text))
    except msgspec.MsgspecError as error:
        raise Refused(f"the server's MessagePack cannot be read: {error}") from None


def _to_msgpack(text: bytes) -> bytes:
    return msgspec.msgpack.encode(msgspec.json.decode(text))


def _kind(text: bytes) -> str:
    try:
        return _decode(text).type
    except msgspec.MsgspecError:
        return ""


def _read_reply(text: bytes) -> _Reply:
    try:
        return _decode_reply(text)
    except msgspec.MsgspecError as error:
        raise Refused(f"the server's reply cannot be read: {error}") from None
