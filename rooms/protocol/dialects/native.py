"""The native dialect, ``rooms.v1.json``: one JSON object a text frame."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from rooms.errors import Malformed, RequestError, UnknownCommand
from rooms.protocol.commands import Command, Id, Message
from rooms.protocol.dialects.base import Dialect
from rooms.protocol.frames import server_frame


class _Head(Struct):
    """What can still be read of a frame that is no valid command."""

    id: Id | None = None


_BACKSLASH = ord("\\")
_decode = msgspec.json.Decoder(Command).decode
_decode_head = msgspec.json.Decoder(_Head).decode
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
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise _refusal(payload, error) from None

    def encode(self, message: Message) -> bytes:
        return server_frame(_encode(message))


def _refusal(payload: bytes, error: Exception) -> RequestError:
    """Say what is wrong with a frame, and whose answer that is."""
    refusal: RequestError
    if isinstance(error, RecursionError):
        refusal = Malformed("The JSON is nested too deeply.")
    elif "$.type" in str(error):
        refusal = UnknownCommand(f"{error}. See the protocol for the types there are.")
    else:
        refusal = Malformed(f"{error}.")
    refusal.id = _readable_id(payload)
    return refusal


def _readable_id(payload: bytes) -> int | str | None:
    try:
        return _decode_head(payload).id
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
