"""The way into a room, in each protocol."""

import json

import pytest

from rooms.bench.errors import Refused
from rooms.bench.protocols import READY, WAIT, Native, Plain, SocketIo


def test_a_native_client_joins_its_room_and_waits_for_the_reply() -> None:
    native = Native(join=True, request=False)
    (join,) = native.advance(7, None).send
    assert json.loads(join) == {"type": "join", "room": "r7", "id": 1}
    assert native.advance(7, b'{"type":"welcome","client":"c1"}') == WAIT
    assert native.advance(7, b'{"type":"presence","room":"r7"}') == WAIT
    assert native.advance(7, b'{"type":"reply","id":1,"room":"r7"}') == READY


def test_a_native_client_that_only_connects_is_ready_when_welcome() -> None:
    native = Native(join=False, request=False)
    assert native.advance(0, None) == WAIT
    assert native.advance(0, b'{"type":"welcome","client":"c1"}') == READY


def test_a_native_error_says_what_the_server_said() -> None:
    native = Native(join=True, request=False)
    with pytest.raises(Refused, match="limit_exceeded"):
        native.advance(0, b'{"type":"error","id":1,"code":"limit_exceeded"}')
    with pytest.raises(Refused, match="rate_limited"):
        native.answer(b'{"type":"error","code":"rate_limited"}')


def test_a_native_publication_carries_the_payload() -> None:
    sent = json.loads(Native(True, False).publication(3, b'{"stamp":"x"}'))
    assert sent == {"type": "event", "event": "bench", "room": "r3", "payload": {"stamp": "x"}}
    asked = json.loads(Native(True, True).publication(3, b"1"))
    assert asked == {"type": "event", "event": "echo", "id": 1, "payload": 1}


def test_a_text_that_is_no_json_is_none_of_the_native_protocols() -> None:
    assert Native(True, False).advance(0, b"hello") == WAIT
    assert Native(True, False).answer(b"\xff") is None


def test_a_plain_client_is_in_its_room_by_the_path() -> None:
    assert Plain(True, False).path(3) == "/r/3"
    assert Plain(True, True).path(3) == "/echo"
    assert Plain(True, False).advance(3, None) == READY
    assert Plain(True, False).publication(3, b"as it is") == b"as it is"


def test_a_socketio_client_opens_connects_and_joins() -> None:
    socketio = SocketIo(join=True, request=False)
    assert "EIO=4" in socketio.path(1)
    assert socketio.advance(1, None) == WAIT
    assert socketio.advance(1, b'0{"sid":"x"}').send == (b"40",)
    assert socketio.advance(1, b'40{"sid":"x"}').send == (b'42["join","r1"]',)
    assert socketio.advance(1, b'42["joined","r1"]') == READY


def test_a_socketio_client_that_only_connects_joins_nothing() -> None:
    assert SocketIo(join=False, request=False).advance(1, b'40{"sid":"x"}') == READY


def test_a_socketio_refusal_is_told() -> None:
    with pytest.raises(Refused, match="no entry"):
        SocketIo(True, False).advance(1, b'44{"message":"no entry"}')


def test_a_socketio_ping_is_answered() -> None:
    assert SocketIo(True, False).answer(b"2") == b"3"
    assert SocketIo(True, False).answer(b'42["x"]') is None


def test_a_socketio_publication_names_its_event() -> None:
    assert SocketIo(True, False).publication(1, b"{}") == b'42["message",{}]'
    assert SocketIo(True, True).publication(1, b"{}") == b'42["echo",{}]'
