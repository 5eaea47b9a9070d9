"""The native dialect, ``rooms.v1.json``: one JSON object a text frame."""

from __future__ import annotations

import msgspec

from rooms.errors import Malformed
from rooms.protocol.commands import Command, Message
from rooms.protocol.dialects.base import Dialect
from rooms.protocol.dialects.values import UNREADABLE, Head, refusal
from rooms.protocol.frames import server_frame

_BACKSLASH = ord("\\")
_decode = msgspec.json.Decoder(Command).decode
_decode_head = msgspec.json.Decoder(Head).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class NativeJson(Dialect):
    """JSON that can be typed by hand in a browser's console."""

    name = "native"
    paths = ("/ws",)
    subprotocols = ("rooms.v1.json",)

    def decode(self, payload: bytes, binary: bool) -> Command:
        if binary:
            raise Malformed("This protocol speaks text frames; a binary one came.")
        try:
            if _BACKSLASH in payload and b"\\u" in payload:  # a number is found ten times faster
                _decode_any(payload)  # escapes may spell half a surrogate pair; `Raw` looks away
            command: Command = _decode(payload)
            return command
        except UNREADABLE as error:
            raise refusal(payload, error, "JSON", _decode_head) from None

    def encode(self, message: Message) -> bytes:
        return server_frame(_encode(message))
