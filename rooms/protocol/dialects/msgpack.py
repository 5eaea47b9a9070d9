"""The native protocol in MessagePack, ``rooms.v1.msgpack``: one map a binary frame."""

from __future__ import annotations

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from rooms.errors import InvalidPayload, Malformed
from rooms.protocol.commands import NULL, Command, Message, SendEvent
from rooms.protocol.dialects.base import Dialect
from rooms.protocol.dialects.values import (
    UNREADABLE,
    Head,
    decode_json,
    encode_json,
    refusal,
    with_texts,
    within_64_bits,
)
from rooms.protocol.frames import BINARY, server_frame

_decode = msgspec.msgpack.Decoder(Command).decode
_decode_head = msgspec.msgpack.Decoder(Head).decode
_decode_any = msgspec.msgpack.Decoder().decode
_encode = msgspec.msgpack.Encoder().encode


class NativeMsgpack(Dialect):
    """The same commands and messages as `NativeJson`, smaller and faster to read.

    What JSON cannot say is said as msgspec says it in JSON: binary data in base64, times as text,
    NaN as null; extension types are refused.
    """

    name = "native"
    paths = ("/ws",)
    subprotocols = ("rooms.v1.msgpack",)

    def decode(self, payload: bytes, binary: bool) -> Command:
        if not binary:
            raise Malformed("The subprotocol rooms.v1.msgpack speaks binary frames; text came.")
        try:
            command: Command = _decode(payload)
        except UNREADABLE as error:
            raise refusal(payload, error, "MessagePack", _decode_head) from None
        if type(command) is SendEvent and command.payload is not NULL:
            return replace(command, payload=_to_json(command))
        return command

    def encode(self, message: Message) -> bytes:
        text = encode_json(message)
        try:
            body = _encode(decode_json(text))
        except (*UNREADABLE, OverflowError):
            body = _encode_rare(message, text)
        return server_frame(body, BINARY)


def _encode_rare(message: Message, text: bytes) -> bytes:
    """Encode numbers of more than 64 bits as floats, and what is nested too deeply as its text."""
    try:
        return _encode(within_64_bits(text))
    except RecursionError:
        return _encode(within_64_bits(encode_json(with_texts(message))))


def _to_json(command: SendEvent) -> Raw:
    """Return an event's payload as the JSON in which it travels.

    Raises:
        RequestError: JSON has no word for something in it.
    """
    try:
        return Raw(encode_json(_decode_any(command.payload)))
    except (*UNREADABLE, TypeError, ValueError, OverflowError) as error:
        detail = "it is nested too deeply" if isinstance(error, RecursionError) else error
        refused = InvalidPayload(f"The payload cannot be said in JSON: {detail}.")
        refused.id = command.id
        raise refused from None
