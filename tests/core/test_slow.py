"""`rooms.core.slow`: what of a room may be lost, and how much that is."""

from __future__ import annotations

from rooms.core.hub import Hub
from rooms.core.outgoing import Outgoing
from rooms.core.room import Room
from rooms.core.slow import Portion, SlowRule, portion_of
from rooms.core.tick import Tick
from rooms.protocol.commands import Position, PresenceChange
from rooms.protocol.topics import parse_filter
from tests.core.fakes import FakeMember, publication

RULE = SlowRule("drop_oldest", "ticker/#")


def change(offset: int) -> Outgoing:
    position = Position("e1", offset)
    return Outgoing(PresenceChange(room="ticker/1", joined={}, left={}, count=0, position=position))


def tick(offset: int) -> Outgoing:
    return Outgoing(publication("ticker/1", "tick", offset))


def portion(publications: int, offset: int, *, presence: bool = False) -> Portion:
    return Portion("ticker/1", RULE, publications, presence, Position("e1", offset))


class Market:
    """A hub with one room that may lose messages, and one that may not."""

    def __init__(self) -> None:
        self.tick = Tick()
        rules = {"ticker/1": RULE}
        self.hub = Hub(self.tick, lambda room: "off", rules.get)
        self.rooms = [self._open("ticker/1"), self._open("lobby")]

    def _open(self, name: str) -> Room:
        return self.hub.open_room(name, Position("e1", 0))

    def join(self, member: FakeMember) -> None:
        for room in self.rooms:
            self.hub.join(room, member, member.id)

    def flush(self) -> None:
        for _ in self.tick.flush():
            pass


def test_a_portion_says_how_many_publications_it_holds_and_where_the_room_stood_after() -> None:
    assert portion_of("ticker/1", RULE, [tick(3), tick(4)]) == portion(2, 4)
    assert portion_of("ticker/1", RULE, [change(4)]) == portion(0, 4, presence=True)
    assert portion_of("ticker/1", RULE, [tick(5), change(5)]) == portion(1, 5, presence=True)


def test_two_portions_are_one_that_ends_where_the_later_does() -> None:
    assert portion(2, 4, presence=True).plus(portion(1, 5)) == portion(3, 5, presence=True)


def test_only_rooms_with_a_rule_are_written_with_a_portion() -> None:
    market, ana = Market(), FakeMember("ana")
    market.join(ana)
    for offset in (1, 2):
        market.hub.deliver(publication("ticker/1", "tick", offset))
    market.hub.deliver(publication("lobby", "said", 1))
    market.flush()
    assert ana.portions == [portion(2, 2), None]


def test_what_a_client_gets_alone_is_kept_apart_from_what_it_may_lose() -> None:
    market, ana = Market(), FakeMember("ana")
    market.join(ana)
    market.tick.send(ana, b"one")
    for offset in (1, 2):
        market.hub.deliver(publication("ticker/1", "tick", offset))
    market.tick.send(ana, b"two")
    market.hub.deliver(publication("lobby", "said", 1))
    market.hub.deliver(publication("ticker/1", "tick", 3))
    market.flush()
    assert ana.portions == [None, portion(2, 2), None, portion(1, 3)]
    assert ana.writes[0] == b"one"
    assert ana.writes[2].startswith(b"two")
    assert b"said" in ana.writes[2]


def test_a_member_that_is_about_to_leave_may_lose_what_it_was_still_to_get() -> None:
    market, ana, bo = Market(), FakeMember("ana"), FakeMember("bo")
    market.join(ana)
    market.join(bo)
    market.hub.deliver(publication("ticker/1", "tick", 1))
    market.hub.leave(market.rooms[0], ana, "ana")
    market.hub.deliver(publication("ticker/1", "tick", 2))
    market.tick.settle(ana)
    market.flush()
    assert ana.portions == [portion(1, 1)]
    assert bo.portions == [portion(2, 2)]


def test_who_follows_a_filter_gets_each_publication_by_its_rooms_rule() -> None:
    market, ana = Market(), FakeMember("ana")
    market.hub.follow(parse_filter("#"), ana)
    market.hub.deliver(publication("ticker/1", "tick", 1))
    market.hub.deliver(publication("lobby", "said", 1))
    market.flush()
    assert ana.portions == [portion(1, 1), None]
