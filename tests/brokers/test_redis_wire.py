"""`rooms.brokers.redis_wire`: RESP3, however it is cut."""

from __future__ import annotations

import pytest

from rooms.brokers import redis_wire
from rooms.brokers.redis_wire import EngineError, Push, Reader, WireError, pack

SAID = (
    b"+OK\r\n:7\r\n$5\r\na\r\nbc\r\n_\r\n$-1\r\n#t\r\n,1.5\r\n"
    b"%1\r\n$1\r\nk\r\n*2\r\n:1\r\n:2\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n"
)
READ = [b"OK", 7, b"a\r\nbc", None, None, b"t", b"1.5", [b"k", [1, 2]], [b"message", b"c", b"hi"]]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_values_are_the_same_however_they_are_cut(size: int) -> None:
    reader = Reader()
    values = [
        value
        for start in range(0, len(SAID), size)
        for value in reader.feed(SAID[start : start + size])
    ]
    assert values == READ
    assert isinstance(values[-1], Push)


def test_an_error_is_a_value_of_its_own() -> None:
    one, other = Reader().feed(b"-MOVED 1 a:2\r\n!5\r\nERR x\r\n")
    assert (str(one), str(other)) == ("MOVED 1 a:2", "ERR x")
    assert isinstance(one, EngineError)


@pytest.mark.parametrize(
    "junk", [b"HTTP/1.1 400\r\n", b"\r\n", b":x\r\n", b"*1\r\n" * 20, b"$x\r\n", b"?2\r\n"]
)
def test_what_is_not_resp_is_refused(junk: bytes) -> None:
    with pytest.raises(WireError):
        Reader().feed(junk)


def test_an_answer_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_wire, "BUFFER_BYTES", 1000)
    reader = Reader()
    assert reader.feed(b"$5000\r\n" + b"x" * 900) == []
    with pytest.raises(WireError, match="more than 1000 bytes"):
        reader.feed(b"x" * 200)


def test_a_command_is_packed_as_the_engine_wants_it() -> None:
    assert pack("SUBSCRIBE", b"\xff") == b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\n\xff\r\n"
