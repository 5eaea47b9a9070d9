"""`rooms.brokers.redis_rooms`: messages are delivered in order, once, or waited for."""

from __future__ import annotations

from msgspec import Raw

from rooms.brokers.redis_messages import Arrived, BadMessage, decode, encode
from rooms.brokers.redis_rooms import HELD, Heard
from rooms.protocol.commands import Origin, Position


class Listener:
    """Hears one room and notes what comes of it."""

    def __init__(self, position: Position | None = None) -> None:
        self.delivered: list[int] = []
        self.woken = 0
        self.bad: list[str] = []
        self.heard = Heard("a", self._deliver, self._wake, self._note)
        if position is not None:
            self.heard.move(position, b"")

    def say(self, *offsets: int, epoch: str = "e") -> None:
        for offset in offsets:
            body = encode("a", "said", Raw(b"1"), None)
            self.heard.hear(f"{epoch} {offset} {offset}\n".encode() + body)

    def _deliver(self, arrived: Arrived) -> None:
        self.delivered.append(arrived.position.offset)

    def _wake(self, heard: Heard) -> None:
        self.woken += 1

    def _note(self, room: str, error: BadMessage) -> None:
        self.bad.append(error.reason)


def test_what_comes_in_order_is_delivered_at_once() -> None:
    listener = Listener(Position("e", 0))
    listener.say(1, 2, 3)
    assert (listener.delivered, listener.woken) == ([1, 2, 3], 0)


def test_what_came_already_is_dropped() -> None:
    listener = Listener(Position("e", 2))
    listener.say(1, 2, 3, 3, 2)
    assert listener.delivered == [3]


def test_the_first_message_says_where_a_new_room_stands() -> None:
    listener = Listener()
    listener.say(7, 8)
    assert listener.delivered == [7, 8]


def test_after_a_gap_nothing_is_delivered_until_it_is_filled() -> None:
    listener = Listener(Position("e", 0))
    listener.say(1, 3, 4)
    assert (listener.delivered, listener.woken) == ([1], 1)
    listener.heard.accept(Arrived(Position("e", 2), b"2", None))
    assert listener.heard.release()
    assert listener.delivered == [1, 2, 3, 4]


def test_a_gap_among_what_was_held_is_found_too() -> None:
    listener = Listener(Position("e", 0))
    listener.say(2, 4)
    listener.heard.accept(Arrived(Position("e", 1), b"1", None))
    assert not listener.heard.release()
    assert (listener.delivered, listener.woken) == ([1, 2], 2)


def test_another_epoch_is_waited_for() -> None:
    listener = Listener(Position("e", 5))
    listener.say(1, epoch="f")
    assert (listener.delivered, listener.woken) == ([], 1)
    listener.heard.move(Position("f", 0), b"")
    assert listener.heard.release()
    assert listener.delivered == [1]


def test_only_so_many_are_held() -> None:
    listener = Listener(Position("e", 0))
    listener.say(*range(2, HELD + 100))
    listener.heard.move(Position("e", 1), b"")
    assert not listener.heard.release()  # the rest has to be read
    assert listener.delivered == list(range(2, HELD + 2))


def test_a_position_that_nobody_has_reached_is_foreign_and_not_waited_for() -> None:
    listener = Listener(Position("e", 0))
    listener.say(99)
    held = listener.heard.held
    listener.say(1)  # after the engine said that 0 was the last
    listener.heard.forget_foreign(held, Position("e", 0))
    assert listener.heard.release()
    assert (listener.delivered, listener.bad) == ([1], ["malformed"])


def test_an_epoch_that_began_while_the_old_one_was_read_is_not_forgotten() -> None:
    listener = Listener(Position("e", 0))
    listener.say(2)
    listener.heard.move(Position("e", 2), b"")
    held = listener.heard.held
    listener.say(1, epoch="f")
    listener.heard.forget_foreign(held, Position("e", 2))
    assert not listener.heard.release()
    assert (listener.delivered, listener.heard.held) == ([], 1)


def test_a_message_keeps_what_was_published() -> None:
    sender, payload = Origin("c7", "ana"), Raw(b'{"n": 1.50, "t": "\xc5\xbe"}')
    read = decode(b"e 3 17\n" + encode("a/\u017e", "said", payload, sender)).publication
    assert read is not None
    assert (read.room, read.event, read.sender) == ("a/\u017e", "said", sender)
    assert (bytes(read.payload), read.position) == (bytes(payload), Position("e", 3))


def test_foreign_messages_change_nothing() -> None:
    listener = Listener(Position("e", 0))
    for junk in (b"", b"\xff 1 1\n[]", b"e -1 1\n", b"e 1 1\n[0]", b"e 1 1\n[[[[", b"e 1\n[1]"):
        listener.heard.hear(junk)
    assert (listener.delivered, listener.woken, set(listener.bad)) == ([], 0, {"malformed"})


def test_what_names_another_room_than_its_channel_is_foreign() -> None:
    listener = Listener(Position("e", 0))
    listener.heard.hear(b"e 1 1\n" + encode("b", "said", Raw(b"1"), None))
    assert (listener.delivered, listener.bad) == ([], ["malformed"])
    listener.say(1)
    assert listener.delivered == [1]


def test_a_newer_nodes_message_is_a_gap() -> None:
    listener = Listener(Position("e", 0))
    listener.heard.hear(b'e 1 1\n[2,"a",{}]')
    listener.heard.hear(b'e 2 1\n[3,"a","said",1,null]')
    assert (listener.delivered, listener.woken, listener.bad) == ([], 1, ["newer", "newer"])
