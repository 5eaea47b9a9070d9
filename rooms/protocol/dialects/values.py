"""Messages as plain values, for dialects that say them in another form than JSON."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from rooms.errors import Malformed, RequestError, UnknownCommand
from rooms.protocol.commands import Id, Message, Missed, Publication, Push, Reply

T = TypeVar("T")


class Head(Struct):
    """What can still be read of a frame that is no valid command of the native protocol."""

    id: Id | None = None


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


def refusal(
    payload: bytes, error: Exception, form: str, read: Callable[[bytes], Head]
) -> RequestError:
    """Return what is wrong with a frame of the native protocol, and whose answer that is.

    Args:
        error: One of `UNREADABLE`.
        form: What the frame is written in.
        read: Decodes that.
    """
    refused: RequestError
    if isinstance(error, RecursionError):
        refused = Malformed(f"The {form} is nested too deeply.")
    elif "$.type" in str(error):
        refused = UnknownCommand(f"{error}. See the protocol for the types there are.")
    else:
        refused = Malformed(f"{error}.")
    with contextlib.suppress(*UNREADABLE):
        refused.id = read(payload).id
    return refused


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
