"""A client's frames, and how a server's are taken apart."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.bench.frames import client_frame, make_stamp, parse_chunk, stamp_number, stamped_payload
from rooms.protocol.frames import BINARY, CLOSE, PING, TEXT, close_frame, server_frame
from rooms.protocol.parser import FrameParser


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 70000])
def test_the_server_reads_what_the_client_frames(size: int) -> None:
    payload = b"x" * size
    assert FrameParser(message_bytes=100_000).feed(client_frame(payload)) == [(TEXT, payload)]


def test_a_payload_has_the_size_that_was_asked_for() -> None:
    for size in (64, 128, 65536):
        assert len(stamped_payload(size, make_stamp(123, 4))) == size


def test_a_frame_with_a_stamp_is_a_delivery() -> None:
    payload = b'{"event":"m","payload":' + stamped_payload(128, make_stamp(2**60, 77)) + b"}"
    chunk = parse_chunk(server_frame(payload))
    assert chunk.stamps == [(2**60, 77)]
    assert chunk.others == []
    assert chunk.rest == b""


def test_all_other_frames_are_kept_with_their_opcode() -> None:
    data = server_frame(b"hello") + server_frame(b"now", PING) + close_frame(3001, "bye")
    chunk = parse_chunk(data + server_frame(b"\0", BINARY))
    assert chunk.stamps == []
    assert chunk.others == [
        (TEXT, b"hello"),
        (PING, b"now"),
        (CLOSE, b"\x0b\xb9bye"),
        (BINARY, b"\0"),
    ]


def test_a_stamp_in_a_control_frame_is_no_delivery() -> None:
    assert parse_chunk(server_frame(stamped_payload(64, make_stamp(1, 1)), PING)).stamps == []


def test_only_what_holds_the_mark_is_a_delivery() -> None:
    reply = server_frame(b'{"type":"reply","id":"' + make_stamp(9, 3) + b'"}')
    other = server_frame(stamped_payload(64, make_stamp(9, 4)))
    chunk = parse_chunk(reply + other, mark=b'"id":"stamp-')
    assert chunk.stamps == [(9, 3)]
    assert len(chunk.others) == 1
    assert len(parse_chunk(reply + other, mark=b"").others) == 2


def test_a_stamp_tells_its_number() -> None:
    assert stamp_number(make_stamp(2**60, 77).decode()) == 77


def test_a_masked_frame_is_a_violation_whatever_its_length() -> None:
    for size in (10, 300, 70000):
        with pytest.raises(ValueError, match="masked"):
            parse_chunk(client_frame(b"x" * size))


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    """Cut a byte string at some places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        yield data[start:end]


@given(
    sizes=st.lists(st.sampled_from([64, 100, 130, 70000]), max_size=6),
    cuts=st.lists(st.integers(min_value=0), max_size=8),
)
def test_chunks_of_any_size_hold_the_same_deliveries(sizes: list[int], cuts: list[int]) -> None:
    data = b"".join(
        server_frame(stamped_payload(size, make_stamp(5, number)))
        for number, size in enumerate(sizes)
    )
    found, rest = [], b""
    for piece in pieces(data, cuts):
        chunk = parse_chunk(rest + piece)
        found += chunk.stamps
        rest = chunk.rest
    assert found == [(5, number) for number in range(len(sizes))]
    assert rest == b""
