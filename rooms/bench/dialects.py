"""The dialects of Rooms whose clients are in a room by the path, which nobody confirms."""

from __future__ import annotations

import uuid

from rooms.bench.plan import Plan
from rooms.bench.wire import READY, Step, WireProtocol, refusal


class _ByPath(WireProtocol):
    """A dialect in which there is nothing to do for a client but to connect.

    Attributes:
        error: What a text begins with that says no.
    """

    error: bytes

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._event = b"echo" if plan.request else b"bench"

    def advance(self, room: int, text: bytes | None) -> Step:
        return READY

    def answer(self, text: bytes) -> bytes | None:
        if text.startswith(self.error):
            raise refusal(text)
        return None


class Zaptools(_ByPath):
    """Events as objects of name, payload and headers."""

    error = b'{"eventName":"error"'

    def path(self, room: int) -> str:
        return f"/zaptools/r{room}" if self.join else "/zaptools"

    def publication(self, room: int, payload: bytes, stamp: bytes) -> bytes:
        return b'{"eventName":"%b","payload":%b,"headers":{}}' % (self._event, payload)


class Fdw(_ByPath):
    """Flat objects, sent to a topic; each client has an id of its own."""

    error = b'{"error":'

    def path(self, room: int) -> str:
        topic = f"?topic=r{room}" if self.join else ""
        return f"/fdw/{uuid.uuid4().hex}{topic}"

    def publication(self, room: int, payload: bytes, stamp: bytes) -> bytes:
        return b'{"type":"send","topic":"r%d",%b' % (room, payload[1:])  # the object goes on


class Tranzit(_ByPath):
    """Events as names and what is behind a bar, which here is JSON."""

    error = b"error|"

    def path(self, room: int) -> str:
        return f"/tranzit/r{room}" if self.join else "/tranzit"

    def publication(self, room: int, payload: bytes, stamp: bytes) -> bytes:
        return b"%b|%b" % (self._event, payload)
