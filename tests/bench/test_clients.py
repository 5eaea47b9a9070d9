"""Clients on their way into a room, and what becomes of them there."""

import json

from msgspec import msgpack

from rooms.bench.connection import Connection
from rooms.bench.frames import client_frame, make_stamp, stamped_payload
from rooms.bench.load import Room
from rooms.protocol.frames import BINARY, PING, PONG, TEXT, close_frame, server_frame
from tests.bench.fakes import SWITCHING, Peer, Stage

JOINED = server_frame(b'{"type":"reply","id":1,"room":"r0"}')


def publication(number: int) -> bytes:
    """A delivery as a server sends it."""
    return server_frame(stamped_payload(64, make_stamp(1000 + number, number)))


def test_a_client_upgrades_joins_and_is_ready() -> None:
    with Stage(connections=1) as stage:
        peer = stage.accept_upgraded()
        stage.turn()
        ((opcode, text),) = peer.messages()
        assert (opcode, json.loads(text)["type"]) == (TEXT, "join")
        assert not stage.clients.settled
        peer.send(server_frame(b'{"type":"welcome"}') + JOINED)
        stage.until(lambda: stage.clients.ready == 1)
        assert stage.clients.settled
        arrivals = stage.clients.set_up
        assert arrivals.completed >= arrivals.begun > 0
        assert arrivals.count == 1


def test_the_request_is_an_opening_handshake_for_the_rooms_path() -> None:
    with Stage(connections=1, protocol="plain") as stage:
        stage.clients.open_more()
        peer = stage.accept()
        stage.turn()
        request = peer.request()
        assert request.startswith(b"GET /r/0 HTTP/1.1\r\nHost: 127.0.0.1:")
        assert b"Sec-WebSocket-Protocol" not in request
        assert b"\r\nSec-WebSocket-Version: 13\r\n" in request


def test_a_protocol_with_a_subprotocol_asks_for_it_and_speaks_in_its_own_frames() -> None:
    with Stage(connections=1, protocol="msgpack") as stage:
        stage.clients.open_more()
        peer = stage.accept()
        stage.turn()
        assert b"\r\nSec-WebSocket-Protocol: rooms.v1.msgpack\r\n" in peer.request()
        peer.send(SWITCHING)
        stage.turn()
        ((opcode, join),) = peer.messages()
        assert (opcode, msgpack.decode(join)["type"]) == (BINARY, "join")
        peer.send(server_frame(msgpack.encode({"type": "reply", "id": 1}), BINARY))
        stage.until(lambda: stage.clients.ready == 1)
        peer.send(server_frame(msgpack.encode({"type": "error"}), BINARY))
        stage.until(lambda: stage.clients.dead == 1)


def test_an_answer_that_comes_byte_by_byte_is_put_together() -> None:
    with Stage(connections=1, protocol="plain") as stage:
        stage.clients.open_more()
        peer = stage.accept()
        stage.turn()
        for byte in SWITCHING + publication(0):
            peer.send(bytes([byte]))
            stage.turn()
        assert [stamp for _, stamp in stage.delivered] == [(1000, 0)]


def test_only_so_many_handshakes_are_under_way_at_once() -> None:
    with Stage(connections=3, in_flight=1, protocol="plain") as stage:
        for number in range(3):
            stage.accept_upgraded()
            stage.until(lambda wanted=number + 1: stage.clients.ready == wanted)  # type: ignore[misc] # mypy gives a lambda with a default no type
        assert stage.clients.settled


def test_the_first_member_of_a_room_publishes() -> None:
    with Stage("rooms", connections=4, rooms=2, protocol="plain") as stage:
        for _ in range(4):
            stage.accept_upgraded()
        stage.until(lambda: stage.clients.ready == 4)
        publishers = {room.publisher for room in stage.rooms}
        assert len(publishers) == 2
        assert None not in publishers


def ready_client(stage: Stage) -> Peer:
    """A plain client in its room."""
    peer = stage.accept_upgraded()
    stage.until(lambda: stage.clients.ready == 1)
    return peer


def test_a_refused_upgrade_is_counted_with_its_status() -> None:
    with Stage(connections=1) as stage:
        stage.clients.open_more()
        peer = stage.accept()
        stage.turn()
        peer.send(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
        stage.until(lambda: stage.clients.dead == 1)
        assert list(stage.clients.errors) == [
            "the upgrade was answered 'HTTP/1.1 503 Service Unavailable'"
        ]
        assert stage.clients.settled


def test_an_error_instead_of_the_reply_is_counted_with_its_text() -> None:
    with Stage(connections=1) as stage:
        peer = stage.accept_upgraded()
        peer.send(server_frame(b'{"type":"error","id":1,"code":"limit_exceeded"}'))
        stage.until(lambda: stage.clients.dead == 1)
        assert "limit_exceeded" in next(iter(stage.clients.errors))


def test_a_refused_connection_is_counted() -> None:
    with Stage(connections=2) as stage:
        stage.refuse()
        stage.clients.open_more()
        stage.until(lambda: stage.clients.dead == 2)
        assert sum(stage.clients.errors.values()) == 2


def test_a_close_frame_is_counted_with_code_and_reason() -> None:
    with Stage(connections=1, protocol="plain") as stage:
        peer = ready_client(stage)
        peer.send(close_frame(3001, "going away"))
        stage.until(lambda: stage.clients.dead == 1)
        assert list(stage.clients.errors) == ["the server closed with 3001 'going away'"]
        assert stage.clients.ready == 0


def test_an_end_without_goodbye_is_counted() -> None:
    with Stage(connections=1, protocol="plain") as stage:
        ready_client(stage).socket.close()
        stage.until(lambda: stage.clients.dead == 1)
        assert list(stage.clients.errors) == ["the server closed the connection"]


def test_a_masked_frame_ends_the_connection() -> None:
    with Stage(connections=1, protocol="plain") as stage:
        ready_client(stage).send(client_frame(b"x"))
        stage.until(lambda: stage.clients.dead == 1)
        assert list(stage.clients.errors) == ["a server's frame is masked"]


def test_a_ping_is_answered_with_its_payload() -> None:
    with Stage(connections=1, protocol="plain") as stage:
        peer = ready_client(stage)
        peer.send(server_frame(b"42", PING))
        stage.turn()
        assert peer.socket.recv(100) == client_frame(b"42", PONG)


def test_a_socketio_ping_is_answered() -> None:
    with Stage(connections=1, protocol="socketio") as stage:
        peer = stage.accept_upgraded()
        peer.send(server_frame(b"0{}") + server_frame(b"40{}") + server_frame(b'42["joined","r0"]'))
        stage.until(lambda: stage.clients.ready == 1)
        assert len(peer.messages()) == 2
        peer.send(server_frame(b"2"))
        stage.turn()
        assert peer.messages() == [(TEXT, b"3")]


def test_deliveries_that_are_split_over_reads_come_once_and_in_order() -> None:
    with Stage(connections=1, protocol="plain") as stage:
        peer = ready_client(stage)
        data = b"".join(publication(number) for number in range(4))
        for start in range(0, len(data), 50):
            peer.send(data[start : start + 50])
            stage.turn()
        assert [number for _, (_, number) in stage.delivered] == [0, 1, 2, 3]


def test_members_that_read_the_same_each_get_it() -> None:
    with Stage(connections=2, protocol="plain") as stage:
        peers = [stage.accept_upgraded(), stage.accept_upgraded()]
        stage.until(lambda: stage.clients.ready == 2)
        for number in range(600):  # more than are remembered
            for peer in peers:
                peer.send(publication(number))
            stage.until(lambda wanted=2 * number + 2: len(stage.delivered) == wanted)  # type: ignore[misc] # as above
        assert len({connection for connection, _ in stage.delivered}) == 2


def test_what_a_server_does_not_read_waits_up_to_a_limit() -> None:
    with Stage(connections=1, protocol="plain") as stage:
        ready_client(stage)
        publisher = publisher_of(stage.rooms[0])
        for _ in range(1000):
            if stage.clients.dead:
                break
            stage.clients.send(publisher, b"x" * 65536)
        assert list(stage.clients.errors) == ["the server does not read what it is sent"]


def test_what_had_to_wait_is_sent_when_the_server_reads_again() -> None:
    with Stage(connections=1, protocol="plain") as stage:
        peer = ready_client(stage)
        publisher = publisher_of(stage.rooms[0])
        sent = 0
        while not publisher.backlog:
            stage.clients.send(publisher, b"x" * 65536)
            sent += 65536
        while sent:
            sent -= len(peer.socket.recv(65536))
            stage.turn(seconds=0)
        assert stage.clients.ready == 1


def publisher_of(room: Room) -> Connection:
    """The connection that publishes in a room."""
    assert room.publisher is not None
    return room.publisher
