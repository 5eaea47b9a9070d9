"""`rooms.protocol.frames`: the bytes of RFC 6455, section 5."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage

from rooms.protocol.frames import (
    BINARY,
    CLOSE,
    PING,
    close_frame,
    fastest_unmask,
    plain_unmask,
    server_frame,
    shorten,
    unmask,
)


def read_as_client(data: bytes) -> list[Event]:
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(data)
    return list(client.events())


# Section 5.7 of the RFC gives examples.


def test_a_short_text_frame_is_the_one_of_the_rfc() -> None:
    assert server_frame(b"Hello") == bytes.fromhex("810548656c6c6f")


def test_a_ping_is_the_one_of_the_rfc() -> None:
    assert server_frame(b"Hello", PING) == bytes.fromhex("890548656c6c6f")


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, "8200"),
        (125, "827d"),
        (126, "827e007e"),
        (256, "827e0100"),
        (65535, "827effff"),
        (65536, "827f0000000000010000"),
    ],
)
def test_the_length_takes_as_few_bytes_as_it_can(size: int, head: str) -> None:
    assert server_frame(bytes(size), BINARY) == bytes.fromhex(head) + bytes(size)


def test_the_masked_text_of_the_rfc_is_unmasked() -> None:
    key, masked = bytes.fromhex("37fa213d"), bytes.fromhex("7f9f4d5158")
    assert unmask(masked, key) == b"Hello"


@given(st.text(max_size=300))
def test_a_client_reads_the_text_that_was_framed(text: str) -> None:
    assert read_as_client(server_frame(text.encode())) == [TextMessage(data=text)]


@given(st.binary(max_size=300))
def test_a_client_reads_the_bytes_that_were_framed(data: bytes) -> None:
    assert read_as_client(server_frame(data, BINARY)) == [BytesMessage(data=data)]


def test_a_ping_carries_its_payload() -> None:
    assert read_as_client(server_frame(b"7", PING)) == [Ping(payload=b"7")]


# Close frames.


def test_a_close_frame_holds_code_and_reason() -> None:
    events = read_as_client(close_frame(3001, "server is shutting down"))
    assert events == [CloseConnection(code=3001, reason="server is shutting down")]


def test_a_close_frame_needs_no_reason() -> None:
    assert close_frame(1000) == bytes([0x80 | CLOSE, 2]) + (1000).to_bytes(2, "big")


@given(st.text(max_size=200))
def test_a_reason_of_any_length_makes_a_close_frame_that_is_allowed(reason: str) -> None:
    frame = close_frame(4000, reason)
    assert len(frame) <= 2 + 125
    (event,) = read_as_client(frame)
    assert isinstance(event, CloseConnection)
    assert event.code == 4000
    assert reason.startswith(event.reason or "")


def test_a_reason_is_cut_between_characters() -> None:
    assert shorten("é" * 100) == "é" * 61


def test_a_reason_that_is_no_text_does_no_harm() -> None:
    assert shorten("\ud800!") == "?!"


# Masking.

keys = st.binary(min_size=4, max_size=4)


@given(st.binary(max_size=200), keys)
def test_to_unmask_is_to_xor_with_the_key_again_and_again(payload: bytes, key: bytes) -> None:
    expected = bytes(byte ^ key[place % 4] for place, byte in enumerate(payload))
    assert unmask(payload, key) == expected
    assert plain_unmask(payload, key) == expected


def test_the_routine_in_c_is_taken_where_it_is_installed() -> None:
    masked = pytest.importorskip("websockets.speedups").apply_mask
    assert fastest_unmask() is masked


def test_without_it_the_routine_in_python_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "websockets.speedups", None)  # as if not installed
    assert fastest_unmask() is plain_unmask
