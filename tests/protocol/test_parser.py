"""`rooms.protocol.parser`: the fast lane, the slow lane and the way back."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.protocol.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from rooms.protocol.parser import FrameParser, Lane
from rooms.testing import client_close, client_frame
from tests.protocol.oracle import judge, sort

LIMIT = 300
HEADER = 14  # bytes, at most (RFC 6455, section 5.2)
PIECE_OF_TEXT = client_frame("frag", TEXT, fin=False)
LAST_PIECE = client_frame("ment", CONTINUATION)


def parser(message_bytes: int = LIMIT) -> FrameParser:
    return FrameParser(message_bytes)


def bytewise(data: bytes) -> list[bytes]:
    return [data[place : place + 1] for place in range(len(data))]


def frame_of_length(length: int, head: bytes, opcode: int = TEXT) -> bytes:
    """A frame whose length is spelled as ``head`` spells it."""
    return bytes([0x80 | opcode]) + head + b"\0\0\0\0" + b"x" * length


# The fast lane.


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 255, 299, 300])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_whole_data_frame_is_a_message(opcode: int, size: int) -> None:
    p = parser()
    assert p.feed(client_frame(b"x" * size, opcode)) == [(opcode, b"x" * size)]
    assert p.take_slow() == b""
    assert not p.diverted


def test_a_frame_with_a_64_bit_length_is_a_message() -> None:
    payload = bytes(70_000)
    assert parser(70_000).feed(client_frame(payload, BINARY)) == [(BINARY, payload)]


def test_all_frames_of_one_read_are_messages_in_order() -> None:
    data = b"".join(client_frame(str(n)) for n in range(50))
    assert parser().feed(data) == [(TEXT, b"%d" % n) for n in range(50)]


@pytest.mark.parametrize("size", [0, 5, 126, 300])
def test_a_frame_that_comes_byte_by_byte_is_one_message(size: int) -> None:
    p = parser()
    parts = [p.feed(byte) for byte in bytewise(client_frame(b"x" * size))]
    assert parts[-1] == [(TEXT, b"x" * size)]
    assert not any(parts[:-1])


def test_a_64_bit_length_that_comes_byte_by_byte_is_understood() -> None:
    p, frame = parser(70_000), client_frame(bytes(70_000), BINARY)
    assert not any(p.feed(byte) for byte in bytewise(frame[:HEADER]))
    assert p.feed(frame[HEADER:]) == [(BINARY, bytes(70_000))]


def test_text_beyond_ascii_is_a_message() -> None:
    assert parser().feed(client_frame("žluťoučký 🐎")) == [(TEXT, "žluťoučký 🐎".encode())]


def test_binary_need_not_be_utf8() -> None:
    assert parser().feed(client_frame(b"\xff\xfe", BINARY)) == [(BINARY, b"\xff\xfe")]


# The slow lane.


def test_a_ping_goes_to_the_slow_lane_and_the_rest_stays_fast() -> None:
    p, control = parser(), client_frame("sign", PING)
    assert p.feed(client_frame("a") + control + client_frame("b")) == [(TEXT, b"a"), (TEXT, b"b")]
    assert p.slow_bytes == len(control)
    assert p.take_slow() == control
    assert p.slow_bytes == 0
    assert p.lane is Lane.FAST
    assert p.diverted


def test_a_pong_goes_nowhere_but_what_the_last_one_said_is_known_once() -> None:
    p, pong = parser(), client_frame("sign", PONG)
    assert p.take_pong() is None
    assert p.feed(client_frame("a") + pong + PIECE_OF_TEXT + client_frame("", PONG)) == [
        (TEXT, b"a")
    ]
    assert p.take_pong() == b""
    assert p.take_pong() is None
    assert p.take_slow() == PIECE_OF_TEXT
    for byte in bytewise(pong):
        assert p.take_pong() is None
        p.feed(byte)
    assert p.take_pong() == b"sign"


def test_a_control_frame_is_passed_on_only_when_it_is_whole() -> None:
    p, ping = parser(), client_frame("sign", PING)
    for byte in bytewise(ping)[:-1]:
        p.feed(byte)
        assert p.slow_bytes == 0
    p.feed(ping[-1:])
    assert p.take_slow() == ping


def test_fragments_go_to_the_slow_lane_as_they_come() -> None:
    p = parser()
    p.feed(PIECE_OF_TEXT[:-1])
    assert p.take_slow() == PIECE_OF_TEXT[:-1]
    p.feed(PIECE_OF_TEXT[-1:] + LAST_PIECE[:3])
    assert p.take_slow() == PIECE_OF_TEXT[-1:] + LAST_PIECE[:3]
    assert p.lane is Lane.HOLD
    assert not p.holding  # the rest of the last fragment is still to come
    p.feed(LAST_PIECE[3:])
    assert p.take_slow() == LAST_PIECE[3:]
    assert p.holding


def test_nothing_overtakes_a_fragmented_message() -> None:
    p = parser()
    before, after = client_frame("before"), client_frame("after")
    assert p.feed(before + PIECE_OF_TEXT + LAST_PIECE + after) == [(TEXT, b"before")]
    assert p.feed(client_frame("later")) == []
    assert p.take_slow() == PIECE_OF_TEXT + LAST_PIECE
    assert p.resume() == [(TEXT, b"after"), (TEXT, b"later")]
    assert p.lane is Lane.FAST


def test_a_control_frame_between_fragments_does_not_end_the_message() -> None:
    p, ping = parser(), client_frame("", PING)
    p.feed(PIECE_OF_TEXT + ping)
    assert not p.holding
    p.feed(LAST_PIECE)
    assert p.holding
    assert p.take_slow() == PIECE_OF_TEXT + ping + LAST_PIECE


def test_to_resume_what_was_not_held_changes_nothing() -> None:
    p = parser()
    p.feed(PIECE_OF_TEXT)
    assert p.resume() == []
    assert p.lane is Lane.FRAGMENTS


def test_the_peers_close_frame_sends_all_that_follows_to_the_slow_lane() -> None:
    p = parser()
    assert p.feed(client_frame("a") + client_close() + client_frame("b")) == [(TEXT, b"a")]
    assert p.feed(client_frame("c")) == []
    assert p.take_slow() == client_close() + client_frame("b") + client_frame("c")
    assert p.lane is Lane.SLOW


VIOLATIONS = {
    "unmasked": client_frame("x", masked=False),
    "RSV1": client_frame("x", reserved=0x40),
    "RSV2": client_frame("x", reserved=0x20),
    "RSV3": client_frame("x", reserved=0x10),
    "data opcode 3": client_frame("x", 0x3),
    "control opcode 11": client_frame("x", 0xB),
    "fragmented ping": client_frame("x", PING, fin=False),
    "ping of 126 bytes": client_frame(b"x" * 126, PING),
    "unmasked ping": client_frame("x", PING, masked=False),
    "continuation of nothing": client_frame("x", CONTINUATION),
    "bad UTF-8": client_frame(b"\xff"),
    "surrogate": client_frame(b"\xed\xa0\x80"),
    "half a character": client_frame(b"\xc3"),
}


@pytest.mark.parametrize("frame", VIOLATIONS.values(), ids=VIOLATIONS.keys())
def test_a_violation_sends_everything_to_the_slow_lane_for_good(frame: bytes) -> None:
    p = parser()
    assert p.feed(client_frame("a") + frame + client_frame("b")) == [(TEXT, b"a")]
    assert p.resume() == []
    assert p.take_slow() == frame + client_frame("b")
    assert p.lane is Lane.SLOW


@pytest.mark.parametrize("frame", [client_frame("new"), client_frame(b"new", BINARY, fin=False)])
def test_a_new_message_among_fragments_is_a_violation(frame: bytes) -> None:
    p = parser()
    p.feed(PIECE_OF_TEXT + frame)
    assert p.take_slow() == PIECE_OF_TEXT + frame
    assert p.lane is Lane.SLOW


@pytest.mark.parametrize("begin", [0x83, 0x8B, 0xC1, 0x80, 0x09])
def test_a_violation_is_seen_in_the_first_two_bytes(begin: int) -> None:
    p = parser()
    p.feed(bytes([begin, 0xFE]))
    assert p.take_slow() == bytes([begin, 0xFE])


TOO_LARGE = {
    "301 bytes": client_frame(bytes(301)),
    "70,000 bytes": client_frame(bytes(70_000)),
    "2 bytes for 125": frame_of_length(125, b"\xfe\x00\x7d"),
    "8 bytes for 300": frame_of_length(300, b"\xff" + struct.pack("!Q", 300)),
    "the highest bit": frame_of_length(0, b"\xff" + struct.pack("!Q", 1 << 63)),
    "8 EiB": frame_of_length(0, b"\xff" + struct.pack("!Q", (1 << 63) - 1)),
}


@pytest.mark.parametrize("frame", TOO_LARGE.values(), ids=TOO_LARGE.keys())
def test_a_length_that_may_not_be_is_left_to_the_slow_lane_to_refuse(frame: bytes) -> None:
    p = parser()
    assert [message for byte in bytewise(frame) for message in p.feed(byte)] == []
    assert p.take_slow() == frame
    assert p.lane is Lane.HOLD


@pytest.mark.parametrize("head", [b"\x81\xfe\x00\x7d", b"\x81\xff" + struct.pack("!Q", 1 << 63)])
def test_a_length_that_may_not_be_is_passed_on_before_the_masking_key(head: bytes) -> None:
    p = parser()
    for byte in bytewise(head):
        p.feed(byte)
    assert p.take_slow() == head


def test_a_small_limit_holds_for_short_frames_too() -> None:
    p = parser(10)
    assert p.feed(client_frame(b"x" * 10)) == [(TEXT, b"x" * 10)]
    assert p.feed(client_frame(b"x" * 11)[:-1]) == []
    assert p.take_slow() == client_frame(b"x" * 11)[:-1]


# Fragments that are too many.

EMPTY = client_frame("", CONTINUATION, fin=False)


def test_a_message_of_as_many_fragments_as_there_may_be_goes_to_the_slow_lane() -> None:
    p = FrameParser(LIMIT, fragments=3)
    for _ in range(2):  # they are counted anew for every message
        p.feed(PIECE_OF_TEXT + EMPTY + LAST_PIECE)
        assert p.take_slow() == PIECE_OF_TEXT + EMPTY + LAST_PIECE
        assert p.resume() == []
    assert not p.overrun


def test_after_fragments_too_many_nothing_more_is_passed_on() -> None:
    p = FrameParser(LIMIT, fragments=3)
    p.feed(PIECE_OF_TEXT + EMPTY * 2)
    assert not p.overrun
    p.feed(EMPTY * 100 + LAST_PIECE)
    assert p.overrun
    assert p.feed(client_frame("a") + client_close()) == []
    assert p.take_slow() == PIECE_OF_TEXT + EMPTY * 2


def test_control_frames_are_no_fragments() -> None:
    p = FrameParser(LIMIT, fragments=2)
    p.feed(PIECE_OF_TEXT + client_frame("", PING) * 10 + LAST_PIECE)
    assert p.holding
    assert not p.overrun


def test_every_frame_that_is_no_whole_message_is_counted() -> None:
    p = parser()
    p.feed(client_frame("a") + PIECE_OF_TEXT + client_frame("", PING) + client_frame("", PONG))
    assert p.slow_frames == 3
    p.feed(LAST_PIECE[:3])
    p.feed(LAST_PIECE[3:])
    assert p.slow_frames == 4


# After our Close frame.


def test_after_our_close_only_the_peers_close_gets_through() -> None:
    p = parser()
    p.close()
    dropped = client_frame("a") + client_frame("", PING) + PIECE_OF_TEXT + LAST_PIECE
    assert p.feed(dropped + client_frame(bytes(400)) + client_close()) == []
    assert p.take_slow() == client_close()


def test_our_close_drops_what_waits_to_become_a_whole_frame() -> None:
    p, frame = parser(), client_frame("half")
    p.feed(frame[:-2])
    p.close()
    assert p.feed(frame[-2:] + client_close()) == []
    assert p.take_slow() == client_close()


def test_our_close_takes_back_pings_that_nobody_has_seen_yet() -> None:
    p, ping = parser(), client_frame("", PING)
    p.feed(ping + ping[:3])
    p.close()
    p.feed(ping[3:] + client_close())
    assert p.take_slow() == client_close()


def test_our_close_lets_a_fragment_that_is_under_way_come_to_its_end() -> None:
    p = parser()
    p.feed(PIECE_OF_TEXT[:-2])
    p.close()
    assert p.feed(PIECE_OF_TEXT[-2:] + LAST_PIECE + client_close()) == []
    assert p.take_slow() == PIECE_OF_TEXT + client_close()


def test_our_close_finds_the_peers_behind_a_message_that_was_held() -> None:
    p = parser()
    p.feed(PIECE_OF_TEXT + LAST_PIECE + client_frame("a") + client_close())
    p.close()
    assert p.take_slow() == PIECE_OF_TEXT + LAST_PIECE + client_close()
    assert p.resume() == []


def test_a_violation_after_our_close_ends_the_wait_for_the_peers() -> None:
    p = parser()
    p.close()
    p.feed(client_frame("x", masked=False))
    assert p.take_slow() == client_frame("x", masked=False)


def test_our_close_changes_nothing_after_the_peers() -> None:
    p = parser()
    p.feed(client_close()[:3])
    p.close()
    p.feed(client_close()[3:])
    assert p.take_slow() == client_close()


# The same as wsproto, whatever comes and however it is cut.

opcodes = st.sampled_from([TEXT, BINARY])
short_text = st.text(max_size=20)
long_text = st.sampled_from(["é" * 63, "x" * 126, "x" * 299, "𐍈" * 75])
bad_text = st.sampled_from([b"\xff", b"a\xc3", b"\xed\xa0\x80", b"ok \xf0\x9f\x90", b"\xc0\x80"])
payloads = st.one_of(short_text, long_text).map(str.encode) | st.binary(max_size=20)


@st.composite
def whole(draw: st.DrawFn) -> bytes:
    if draw(st.booleans()):
        return client_frame(draw(short_text | long_text), TEXT)
    return client_frame(draw(payloads), BINARY)


controls = st.builds(
    client_frame, st.binary(max_size=125), st.sampled_from([PING, PONG])
) | st.sampled_from([client_frame(b"x" * 125, PING)])


@st.composite
def fragmented(draw: st.DrawFn, text: st.SearchStrategy[bytes] | None = None) -> bytes:
    """A message in pieces, cut anywhere, with control frames between them."""
    if text is None:
        opcode = draw(opcodes)
        data = draw((short_text | long_text).map(str.encode) if opcode == TEXT else payloads)
    else:
        opcode, data = TEXT, draw(text)
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), min_size=1, max_size=4)))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    frames = []
    for place, piece in enumerate(pieces):
        fin = place == len(pieces) - 1
        frames.append(client_frame(piece, CONTINUATION if place else opcode, fin=fin))
        if not fin and draw(st.booleans()):
            frames.append(draw(controls))
    return b"".join(frames)


@st.composite
def misspelled_length(draw: st.DrawFn) -> bytes:
    """A length in more bytes than it needs, or with the bit set that may not be."""
    opcode = draw(st.sampled_from([TEXT, BINARY, CONTINUATION, PING]))
    short = draw(st.integers(0, 125))
    head = draw(
        st.sampled_from(
            [
                b"\xfe" + struct.pack("!H", short),
                b"\xff" + struct.pack("!Q", short),
                b"\xff" + struct.pack("!Q", 65535),
                b"\xff" + struct.pack("!Q", 1 << 63 | short),
            ]
        )
    )
    return frame_of_length(short, head, opcode)


def broken_frame(payload: bytes, opcode: int, reserved: int, masked: bool, fin: bool) -> bytes:
    return client_frame(payload, opcode, reserved=reserved, masked=masked, fin=fin)


any_frame = st.builds(
    broken_frame,
    st.binary(max_size=130),
    st.integers(0, 15),
    st.sampled_from([0, 0, 0, 0x10, 0x20, 0x40, 0x70]),
    st.sampled_from([True, True, True, False]),
    st.booleans(),
)
closes = st.builds(
    client_close, st.sampled_from([None, 0, 999, 1000, 1005, 1006, 1015, 2000, 3001, 4999, 5000])
) | st.sampled_from([client_frame(b"\x03", CLOSE), client_frame(b"\x03\xe8\xff", CLOSE)])
oversize = st.sampled_from(
    [
        client_frame(bytes(LIMIT + 1), BINARY),
        client_frame("x" * LIMIT + "é", TEXT),
        client_frame(bytes(66_000), BINARY),
        client_frame(bytes(200), BINARY, fin=False) + client_frame(bytes(101), CONTINUATION),
    ]
)
good = st.one_of(whole(), controls, fragmented())
anything = st.one_of(
    good,
    good,
    any_frame,
    misspelled_length(),
    closes,
    oversize,
    bad_text.map(client_frame),
    fragmented(bad_text),
)


@st.composite
def chunked(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The same bytes in reads of any sizes, none of them empty."""
    if draw(st.booleans()) and len(data) < 2000:
        size = draw(st.integers(1, 3))
        return [data[place : place + size] for place in range(0, len(data), size)]
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(data) - 1)), max_size=6)))
    chunks = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return [chunk for chunk in chunks if chunk]


@given(st.data(), st.lists(good | closes, max_size=6))
def test_good_frames_mean_what_they_mean_to_wsproto(
    data: st.DataObject, frames: list[bytes]
) -> None:
    chunks = data.draw(chunked(b"".join(frames)))
    assert sort(chunks, LIMIT) == judge(chunks, LIMIT)


@given(st.data(), st.lists(anything, max_size=6))
def test_whole_frames_of_any_kind_mean_what_they_mean_to_wsproto(
    data: st.DataObject, frames: list[bytes]
) -> None:
    chunks = data.draw(chunked(b"".join(frames)))
    ours, theirs = sort(chunks, LIMIT), judge(chunks, LIMIT)
    assert ours.messages == theirs.messages
    assert ours.code == theirs.code


@given(st.data(), st.lists(anything, max_size=3), st.binary(max_size=40), st.integers(0, 40))
def test_a_garbage_tail_means_what_it_means_to_wsproto(
    data: st.DataObject, frames: list[bytes], garbage: bytes, lost: int
) -> None:
    """But for the text of a last frame that is not whole yet, which wsproto looks at early."""
    stream = b"".join(frames)
    stream = stream[: max(0, len(stream) - lost)] + garbage
    chunks = data.draw(chunked(stream))
    ours, theirs = sort(chunks, LIMIT), judge(chunks, LIMIT)
    assert ours.messages == theirs.messages
    assert ours.code == theirs.code or (ours.code, theirs.code) == (None, 1007)


@given(st.data(), st.lists(good, max_size=5), st.lists(anything, max_size=2))
def test_after_our_close_nothing_gets_through_before_the_peers(
    data: st.DataObject, before: list[bytes], after: list[bytes]
) -> None:
    p = parser()
    p.close()
    rest = client_close() + b"".join(after)
    for chunk in data.draw(chunked(b"".join(before) + rest)):
        assert p.feed(chunk) == []
    assert p.take_slow() == rest


@given(st.data(), st.lists(anything, max_size=6))
def test_no_more_waits_than_a_message_and_its_header(
    data: st.DataObject, frames: list[bytes]
) -> None:
    """Counted from outside: what was fed, less what came out."""
    p, waiting = parser(), 0
    for chunk in data.draw(chunked(b"".join(frames))):
        if p.holding:
            break
        for opcode, payload in p.feed(chunk):
            waiting -= len(client_frame(payload, opcode))
        waiting += len(chunk) - len(p.take_slow())
        assert waiting < LIMIT + HEADER or p.holding
