"""`rooms.protocol.bus`: what nodes tell each other."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Raw

from rooms.protocol.bus import (
    MESSAGE_BYTES,
    VERSION,
    Answer,
    Ask,
    BadMessage,
    Gone,
    Message,
    Present,
    RoomChange,
    RoomsChanged,
    SendAll,
    SendNamed,
    SendTo,
    ShowNode,
    decode,
    encode,
)


@pytest.mark.parametrize(
    "message",
    [
        Gone(),
        RoomsChanged(7, {"x": RoomChange({"c1": Present("Ana", Raw(b'{"n":1.50}')), "c2": None})}),
        SendAll("news", Raw(b'{"text": "\\u00e9"}')),
        SendNamed(["ana"], "news", Raw(b"1")),
        Ask(3, SendTo(["c1"], "hi", Raw(b"null"))),
        Ask(3, ShowNode()),
        Answer(3, Raw(b"[1]")),
    ],
)
def test_a_message_arrives_as_it_was_sent(message: Message) -> None:
    data = encode("n1", message)
    node, read = decode(data)
    assert (node, type(read)) == ("n1", type(message))
    assert msgspec.json.encode(read) == msgspec.json.encode(message)


def refusal(data: bytes) -> str:
    with pytest.raises(BadMessage) as caught:
        decode(data)
    return caught.value.reason


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"{}",
        b"[1]",
        b'[1,"",{"type":"gone"}]',
        b'[1,"n1",{"type":"unheard of"}]',
        b'[1,"n1",{"type":"rooms_changed","number":"x","rooms":{}}]',
        b'[1,"n1",{"type":"ask","id":1,"question":{"type":"__class__"}}]',
        b'[1,"\xff",{"type":"gone"}]',
        b"[" * 100_000,
    ],
)
def test_what_is_not_a_message_of_ours_is_malformed(data: bytes) -> None:
    assert refusal(data) == "malformed"


def test_a_message_of_a_newer_version_says_so_whatever_is_in_it() -> None:
    assert refusal(b'[%d,"n1",{"type":"unheard of"}]' % (VERSION + 1)) == "newer"


def test_fields_that_are_not_known_are_ignored() -> None:
    assert decode(b'[1,"n1",{"type":"gone","why":1},"more"]') == ("n1", Gone())


def test_a_message_that_is_too_large_is_neither_sent_nor_read() -> None:
    with pytest.raises(BadMessage, match="oversized"):
        encode("n1", SendAll("x", Raw(b'"%s"' % (b"x" * MESSAGE_BYTES))))
    assert refusal(b" " * (MESSAGE_BYTES + 1)) == "oversized"


def test_nothing_is_told_of_a_connection_without_details() -> None:
    assert Present("Ana").told is None
    assert Present("Ana", Raw(b"{}")).told == Raw(b"{}")
