"""`rooms.protocol.incremental`: pieces of messages of any size, as they arrive."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.errors import Disconnect, InvalidText, ProtocolViolation
from rooms.protocol.frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, frame, server_frame
from rooms.protocol.incremental import NO_CODE, Control, Event, Goodbye, IncrementalParser, Part
from rooms.testing import client_close, client_frame


def events(parser: IncrementalParser, data: bytes) -> Iterator[Event]:
    """Feed some bytes and yield what comes of it."""
    parser.feed(data)
    while (event := parser.take()) is not None:
        yield event


def parse(data: bytes, *, masked: bool = True) -> list[Event]:
    """Return all events of some bytes."""
    return list(events(IncrementalParser(masked=masked), data))


def test_whole_messages_are_one_part_each() -> None:
    data = client_frame("Hé") + client_frame(b"\xff", BINARY) + client_frame("")
    assert parse(data) == [Part("Hé", True, 3), Part(b"\xff", True, 1), Part("", True, 0)]


def test_a_part_is_given_before_the_frame_is_whole() -> None:
    parser = IncrementalParser(masked=True)
    data = client_frame(bytes(range(200)), BINARY)
    assert list(events(parser, data[:50])) == [Part(bytes(range(42)), False, 42)]
    assert list(events(parser, data[50:])) == [Part(bytes(range(42, 200)), True, 158)]


def test_text_is_given_in_whole_characters() -> None:
    parser = IncrementalParser(masked=True)
    data = client_frame("a😀b")
    parts = [event for byte in data for event in events(parser, bytes([byte]))]
    assert "".join(str(part.data) for part in parts if isinstance(part, Part)) == "a😀b"
    assert [part.data for part in parts if isinstance(part, Part)] == ["a", "", "", "", "😀", "b"]


def test_control_frames_may_come_between_fragments() -> None:
    data = (
        client_frame("a", fin=False)
        + client_frame(b"p", PING)
        + client_frame("b", CONTINUATION)
        + client_close(4000, "off")
        + client_frame("after the end")
    )
    expected = [Part("a", False, 1), Control(PING, b"p"), Part("b", True, 1), Goodbye(4000, "off")]
    assert parse(data) == expected


def test_the_other_side_is_not_masked() -> None:
    assert parse(server_frame(b"x"), masked=False) == [Part("x", True, 1)]
    with pytest.raises(Disconnect, match="frame masked"):
        parse(client_frame("x"), masked=False)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (client_frame("x", reserved=0x40), 1002),
        (client_frame("x", 3), 1002),
        (client_frame("x", 11), 1002),
        (client_frame("x", masked=False), 1002),
        (client_frame("x", PING, fin=False), 1002),
        (client_frame("x" * 126, PING), 1002),
        (client_frame("x", CONTINUATION), 1002),
        (client_frame("x", fin=False) + client_frame("y"), 1002),
        (b"\x81\xfe\x00\x7d", 1002),
        (b"\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff", 1002),
        (b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00", 1002),
        (client_frame(b"x", CLOSE), 1002),
        (client_close(1005), 1002),
        (client_frame(b"\x03\xe8\xff", CLOSE), 1007),
        (client_frame(b"\xed\xa0\x80"), 1007),
        (client_frame(b"\xc3"), 1007),
        (client_frame(b"\xf4\x90", fin=False), 1007),
    ],
)
def test_what_breaks_the_rules_is_refused(data: bytes, code: int) -> None:
    with pytest.raises(Disconnect) as caught:
        parse(data)
    assert caught.value.code == code


def test_a_goodbye_may_have_no_code() -> None:
    assert parse(client_close(None)) == [Goodbye(NO_CODE, "")]


@given(
    st.lists(st.one_of(st.text(max_size=200), st.binary(max_size=70_000)), max_size=4),
    st.integers(1, 5000),
    st.booleans(),
)
def test_however_it_is_cut_the_messages_are_the_same(
    messages: list[str | bytes], step: int, masked: bool
) -> None:
    key = b"\x01\x82\x03\x84" if masked else b""
    data = b"".join(
        frame(
            message.encode() if isinstance(message, str) else message,
            TEXT if isinstance(message, str) else BINARY,
            key=key,
        )
        for message in messages
    )
    parser, found, parts = IncrementalParser(masked=masked), [], []
    for start in range(0, len(data), step):
        for event in events(parser, data[start : start + step]):
            assert isinstance(event, Part)
            parts.append(event.data)
            if event.last:
                found.append(parts[0][:0].join(parts))  # type: ignore[arg-type]
                parts = []
    assert found == messages


@given(st.binary(max_size=300), st.booleans(), st.integers(1, 40))
def test_whatever_comes_only_a_disconnect_ends_it(data: bytes, masked: bool, step: int) -> None:
    parser = IncrementalParser(masked=masked)
    given = 0
    with contextlib.suppress(ProtocolViolation, InvalidText):
        for start in range(0, len(data), step):
            for event in events(parser, data[start : start + step]):
                given += event.size if isinstance(event, Part) else 0
    assert given <= len(data)


def test_a_huge_frame_takes_no_more_memory_than_what_was_fed() -> None:
    parser, piece = IncrementalParser(masked=True), bytes(65536)
    header = client_frame(b"", BINARY)[:1] + b"\xff" + (2**40).to_bytes(8, "big") + bytes(4)
    tracemalloc.start()
    list(events(parser, header))
    parts = (part for _ in range(64) for part in events(parser, piece))
    given = sum(part.size for part in parts if isinstance(part, Part))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert given == 64 * 65536
    assert peak < 8 * 65536
