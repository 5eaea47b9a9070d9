"""The way into a room, in each protocol."""

import json

import pytest
from msgspec import msgpack

from rooms.bench.errors import Refused
from rooms.bench.frames import make_stamp
from rooms.bench.plan import make_plan
from rooms.bench.protocols import MessagePack, Native, Plain, Returning, SocketIo
from rooms.bench.wire import READY, WAIT, Step
from rooms.protocol.commands import Position

ROOMS = make_plan("rooms")
REQUEST = make_plan("echo", request=True)


def test_a_native_client_joins_its_room_and_waits_for_the_reply() -> None:
    native = Native(ROOMS)
    (join,) = native.advance(7, None).send
    assert json.loads(join) == {"type": "join", "room": "r7", "id": 1}
    assert native.advance(7, b'{"type":"welcome","client":"c1"}') == WAIT
    assert native.advance(7, b'{"type":"presence","room":"r7"}') == WAIT
    assert native.advance(7, b'{"type":"reply","id":1,"room":"r7"}') == READY


def test_a_native_client_that_only_connects_is_ready_when_welcome() -> None:
    native = Native(make_plan("storm"))
    assert native.advance(0, None) == WAIT
    assert native.advance(0, b'{"type":"welcome","client":"c1"}') == READY


def test_a_native_error_says_what_the_server_said() -> None:
    native = Native(ROOMS)
    with pytest.raises(Refused, match="limit_exceeded"):
        native.advance(0, b'{"type":"error","id":1,"code":"limit_exceeded"}')
    with pytest.raises(Refused, match="rate_limited"):
        native.answer(b'{"type":"error","code":"rate_limited"}')


def test_a_native_publication_carries_the_payload() -> None:
    sent = json.loads(Native(ROOMS).publication(3, b'{"stamp":"x"}', b"x"))
    assert sent == {"type": "event", "event": "bench", "room": "r3", "payload": {"stamp": "x"}}
    asked = json.loads(Native(REQUEST).publication(3, b"1", b""))
    assert asked == {"type": "event", "event": "echo", "id": 1, "payload": 1}


def test_a_native_publication_that_is_to_be_acknowledged_has_its_stamp_for_an_id() -> None:
    plan = make_plan("publish", rooms=20, keys=True)
    sent = json.loads(Native(plan).publication(23, b"1", b"stamp-7"))
    assert sent["id"] == sent["key"] == "stamp-7"
    assert sent["room"] == "r3"
    assert "key" not in json.loads(Native(make_plan("publish")).publication(0, b"1", b"stamp-7"))


def test_the_reply_that_is_counted_is_not_an_error() -> None:
    mark = Native(make_plan("publish")).mark
    assert mark in b'{"type":"reply","id":"stamp-7","position":["e",1]}'
    assert mark not in b'{"type":"error","id":"stamp-7","code":"rate_limited"}'


def test_a_native_client_notes_where_its_room_stands() -> None:
    step = Native(ROOMS).advance(7, b'{"type":"reply","id":1,"position":["e",4]}')
    assert step == Step(ready=True, position=Position("e", 4))


@pytest.fixture
def returning() -> Returning:
    """A client that comes back to the seventh room."""
    return Returning(make_plan("recover"), {7: Position("e", 4)})


def told(kind: str, *numbers: int, **fields: object) -> bytes:
    """A frame with publications that were missed."""
    missed = [{"payload": {"stamp": make_stamp(1, number).decode()}} for number in numbers]
    return json.dumps({"type": kind, "missed": missed, **fields}).encode()


def test_a_native_client_that_comes_back_says_what_it_has_seen(returning: Returning) -> None:
    (join,) = returning.advance(7, None).send
    assert json.loads(join)["since"] == ["e", 4]
    with pytest.raises(Refused, match="no position"):
        returning.advance(8, None)


def test_it_is_there_again_when_it_was_told_all_that_it_missed(returning: Returning) -> None:
    assert returning.advance(7, b'{"type":"welcome"}') == WAIT
    first = returning.advance(7, told("reply", 0, 1, recovered=True, more=True))
    assert first == Step(missed=(0, 1))
    assert returning.advance(7, b'{"type":"presence","room":"r7"}') == WAIT
    assert returning.advance(7, told("missed", 2, more=False)) == Step(missed=(2,), ready=True)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b'{"type":"reply","recovered":false,"reason":"too_old"}', "is lost: too_old"),
        (b'{"type":"reply","id":1}', "nobody says why"),
        (b'{"type":"reply","missed":7}', "cannot be read"),
        (b'{"type":"error","id":1,"code":"unrecoverable"}', "unrecoverable"),
    ],
)
def test_it_is_refused_when_that_cannot_be_told(
    returning: Returning, reply: bytes, reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        returning.advance(7, reply)


def test_a_text_that_is_no_json_is_none_of_the_native_protocols() -> None:
    assert Native(ROOMS).advance(0, b"hello") == WAIT
    assert Native(ROOMS).answer(b"\xff") is None


def test_a_msgpack_client_says_and_hears_the_same_in_messagepack() -> None:
    packed = MessagePack(ROOMS)
    assert packed.path(7) == "/ws"
    (join,) = packed.advance(7, None).send
    assert msgpack.decode(join) == {"type": "join", "room": "r7", "id": 1}
    assert packed.advance(7, msgpack.encode({"type": "welcome"})) == WAIT
    reply = msgpack.encode({"type": "reply", "id": 1, "position": ["e", 4]})
    assert packed.advance(7, reply) == Step(ready=True, position=Position("e", 4))
    sent = packed.publication(3, b'{"stamp":"stamp-7"}', b"stamp-7")
    assert msgpack.decode(sent)["payload"] == {"stamp": "stamp-7"}
    assert packed.mark in sent


def test_a_msgpack_error_says_what_the_server_said() -> None:
    packed = MessagePack(ROOMS)
    assert packed.answer(msgpack.encode({"type": "presence"})) is None
    with pytest.raises(Refused, match="rate_limited"):
        packed.answer(msgpack.encode({"type": "error", "code": "rate_limited"}))
    with pytest.raises(Refused, match="MessagePack cannot be read"):
        packed.answer(b"\xc1")


def test_a_plain_client_is_in_its_room_by_the_path() -> None:
    assert Plain(ROOMS).path(3) == "/r/3"
    assert Plain(REQUEST).path(3) == "/echo"
    assert Plain(ROOMS).advance(3, None) == READY
    assert Plain(ROOMS).publication(3, b"as it is", b"") == b"as it is"


def test_a_socketio_client_opens_connects_and_joins() -> None:
    socketio = SocketIo(ROOMS)
    assert "EIO=4" in socketio.path(1)
    assert socketio.advance(1, None) == WAIT
    assert socketio.advance(1, b'0{"sid":"x"}').send == (b"40",)
    assert socketio.advance(1, b'40{"sid":"x"}').send == (b'42["join","r1"]',)
    assert socketio.advance(1, b'42["joined","r1"]') == READY


def test_a_socketio_client_that_only_connects_joins_nothing() -> None:
    assert SocketIo(make_plan("storm")).advance(1, b'40{"sid":"x"}') == READY


def test_a_socketio_refusal_is_told() -> None:
    with pytest.raises(Refused, match="no entry"):
        SocketIo(ROOMS).advance(1, b'44{"message":"no entry"}')


def test_a_socketio_ping_is_answered() -> None:
    assert SocketIo(ROOMS).answer(b"2") == b"3"
    assert SocketIo(ROOMS).answer(b'42["x"]') is None


def test_a_socketio_publication_names_its_event() -> None:
    assert SocketIo(ROOMS).publication(1, b"{}", b"") == b'42["message",{}]'
    assert SocketIo(REQUEST).publication(1, b"{}", b"") == b'42["echo",{}]'
