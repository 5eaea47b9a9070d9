"""Messages as plain values, for dialects that say them in another form than JSON."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from rooms.errors import Malformed
from rooms.protocol.commands import Message, Missed, Publication, Push, Reply

T = TypeVar("T")

UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
"""What msgspec raises for bytes that are not what was asked for."""

encode_json = msgspec.json.Encoder().encode
decode_json = msgspec.json.Decoder().decode

_BACKSLASH = ord("\\")
_LEAST, _MOST = -(2**63), 2**64 - 1


def read_json(decoder: msgspec.json.Decoder[T], text: bytes) -> T:
    """Return what ``decoder`` makes of a text frame.

    Raises:
        Malformed: It is not what the decoder asks for, or holds half of a surrogate pair, which
            nobody could be sent.
    """
    try:
        if _BACKSLASH in text and b"\\u" in text:  # a number is found ten times faster
            decode_json(text)  # escapes may spell half a surrogate pair; `Raw` looks away
        return decoder.decode(text)
    except RecursionError:
        raise Malformed("The JSON is nested too deeply.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"{error}.") from None


def within_64_bits(text: bytes) -> Any:
    """Return the value of any JSON; numbers that 64 bits do not hold are what JavaScript makes.

    Raises:
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, parse_int=_parse_int)


def with_texts(message: Message) -> Message:
    """Return a message in which every payload is the text of its JSON."""
    if isinstance(message, Publication | Push):
        return replace(message, payload=_text(message.payload))
    if isinstance(message, Missed):
        return replace(message, missed=[with_texts(each) for each in message.missed])
    if isinstance(message, Reply):
        lists = {
            name: [with_texts(each) for each in publications]
            for name in ("missed", "publications")
            if isinstance(publications := getattr(message, name), list)
        }
        return replace(message, **lists)
    return message


def _text(payload: Raw) -> Raw:
    return Raw(encode_json(bytes(payload).decode("utf-8", "replace")))


def _parse_int(digits: str) -> int | float:
    if len(digits) > 20:  # more than any of 64 bits has
        return float(digits)
    number = int(digits)
    return number if _LEAST <= number <= _MOST else float(number)
