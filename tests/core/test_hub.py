"""`rooms.core.hub`: all rooms of this process."""

from __future__ import annotations

import pytest
from msgspec import UNSET, Raw

from rooms.core.hub import PRESENCE_USERS, Hub
from rooms.core.room import Room
from rooms.core.tick import Tick
from rooms.errors import AlreadyJoined, NotMember
from rooms.protocol.commands import Dropped, Message, Position, PresenceChange, Publication
from tests.core.fakes import NATIVE, FakeMember, publication

START = Position("e1", 0)


class Lobby:
    """A hub with one room, and shorthands for what happens in it."""

    def __init__(self) -> None:
        self.hub = Hub(Tick())
        self.room = self.hub.open_room("lobby", START)

    def join(self, member_id: str, user: str = "") -> FakeMember:
        member = FakeMember(member_id)
        self.hub.join(self.room, member, user or member_id)
        return member

    def flush(self) -> None:
        for _ in self.hub.tick.flush():
            pass

    def tell(self) -> None:
        self.hub.tell_presence()
        self.flush()


def frames(*messages: Message) -> bytes:
    return b"".join(NATIVE.encode(message) for message in messages)


def change(joined: list[str], left: list[str], count: int, *, more: bool = False) -> bytes:
    """The frame that tells of users whose connections are named like them."""
    return frames(
        PresenceChange(
            room="lobby",
            joined={user: [{"client": user}] for user in joined},
            left={user: [{"client": user}] for user in left},
            count=count,
            position=START,
            more=more or UNSET,
        )
    )


def detail_change(user: str, details: bytes) -> bytes:
    """The frame that tells of new details, in a room where two are."""
    entries = [{"client": user, "details": Raw(details)}]
    return frames(
        PresenceChange(
            room="lobby", joined={}, left={}, changed={user: entries}, count=2, position=START
        )
    )


# Rooms.


def test_a_room_is_opened_once_and_keeps_its_position() -> None:
    lobby = Lobby()
    assert lobby.hub.open_room("lobby", Position("e2", 9)) is lobby.room
    assert lobby.room.position == START


def test_a_room_is_let_go_when_nobody_is_in_it() -> None:
    lobby = Lobby()
    ana = lobby.join("ana")
    assert not lobby.hub.release(lobby.room)
    lobby.hub.leave(lobby.room, ana, "ana")
    assert lobby.hub.release(lobby.room)
    assert not lobby.hub.rooms
    assert not lobby.hub.changed_rosters


def test_a_room_is_let_go_once() -> None:
    lobby = Lobby()
    assert lobby.hub.release(lobby.room)
    assert not lobby.hub.release(lobby.room)
    newer = lobby.hub.open_room("lobby", START)
    assert not lobby.hub.release(lobby.room)
    assert lobby.hub.rooms == {"lobby": newer}


def test_a_room_with_a_listener_is_kept() -> None:
    lobby = Lobby()
    lobby.hub.listen(lobby.room, lambda publication: None)
    assert not lobby.hub.release(lobby.room)


# Members.


def test_a_connection_joins_a_room_once() -> None:
    lobby = Lobby()
    ana = lobby.join("ana")
    with pytest.raises(AlreadyJoined, match="'lobby'"):
        lobby.hub.join(lobby.room, ana, "ana")
    assert len(lobby.room) == 1


def test_who_is_not_in_a_room_cannot_leave_it() -> None:
    lobby = Lobby()
    with pytest.raises(NotMember, match="'lobby'"):
        lobby.hub.leave(lobby.room, FakeMember("ana"), "ana")


# Publications.


def test_a_publication_reaches_every_member_in_one_write() -> None:
    lobby = Lobby()
    members = [lobby.join(name) for name in ("ana", "bob")]
    said = [publication("lobby", "say", offset) for offset in (1, 2)]
    for one in said:
        lobby.hub.deliver(one)
    lobby.flush()
    assert [member.writes for member in members] == [[frames(*said)]] * 2


def test_the_room_stands_where_the_last_publication_was() -> None:
    lobby = Lobby()
    lobby.hub.deliver(publication("lobby", "say", 41))
    assert lobby.room.position == Position("e1", 41)


def test_a_publication_for_a_room_where_nobody_is_changes_nothing() -> None:
    lobby = Lobby()
    lobby.hub.deliver(publication("elsewhere", "say", 1))
    lobby.hub.deliver(publication("lobby", "say", 1))
    assert not lobby.hub.tick.waiting


def test_a_publication_reaches_the_members_of_its_room_only() -> None:
    lobby = Lobby()
    ana, bob = lobby.join("ana"), FakeMember("bob")
    lobby.hub.join(lobby.hub.open_room("other", START), bob, "bob")
    lobby.hub.deliver(publication("other", "say", 1))
    lobby.flush()
    assert not ana.writes
    assert bob.writes == [frames(publication("other", "say", 1))]


def test_a_listener_hears_each_publication_at_once_and_may_stop_there() -> None:
    lobby = Lobby()
    heard: list[str] = []

    def listen_once(one: Publication) -> None:
        heard.append(f"once {one.event}")
        lobby.room.listeners.remove(listen_once)

    lobby.hub.listen(lobby.room, listen_once)
    lobby.hub.listen(lobby.room, lambda one: heard.append(one.event))
    lobby.hub.deliver(publication("lobby", "a", 1))
    lobby.hub.deliver(publication("lobby", "b", 2))
    assert heard == ["once a", "a", "b"]


# Presence.


def test_members_are_told_who_joined_and_left_since_they_were_last_told() -> None:
    lobby = Lobby()
    ana = lobby.join("ana")
    lobby.tell()
    bob = lobby.join("bob")
    lobby.join("eve")
    lobby.hub.leave(lobby.room, bob, "bob")
    lobby.tell()
    eve = change(["eve"], [], 2)
    assert ana.writes == [change(["ana"], [], 1), eve]


def test_when_nothing_changed_nobody_is_told() -> None:
    lobby = Lobby()
    ana = lobby.join("ana")
    lobby.tell()
    lobby.join("second-tab", "ana")
    lobby.tell()
    assert len(ana.writes) == 1
    assert not lobby.hub.tick.waiting


def test_the_last_to_leave_tells_nobody() -> None:
    lobby = Lobby()
    ana = lobby.join("ana")
    lobby.tell()
    lobby.hub.leave(lobby.room, ana, "ana")
    lobby.hub.release(lobby.room)
    lobby.tell()
    assert not lobby.hub.tick.waiting


def test_who_joined_and_left_unseen_is_not_told() -> None:
    lobby = Lobby()
    ana = lobby.join("ana")
    lobby.tell()
    ana.writes.clear()
    bob = lobby.join("bob")
    lobby.hub.leave(lobby.room, bob, "bob")
    lobby.tell()
    assert not ana.writes


def test_a_change_names_some_users_and_counts_all() -> None:
    lobby, names = Lobby(), [f"u{number}" for number in range(PRESENCE_USERS + 5)]
    members = [lobby.join(name) for name in names]
    lobby.tell()
    assert members[0].writes == [change(names[:PRESENCE_USERS], [], len(names), more=True)]


def test_new_details_are_told_once_a_round() -> None:
    lobby = Lobby()
    ana, bob = lobby.join("ana"), lobby.join("bob")
    lobby.tell()
    ana.writes.clear()
    for details in (b'{"n":1}', b'{"n":2}'):
        lobby.hub.set_details(lobby.room, bob, "bob", Raw(details))
    lobby.tell()
    assert ana.writes == [detail_change("bob", b'{"n":2}')]


def test_presence_that_is_off_is_never_told() -> None:
    hub, ana = Hub(Tick(), lambda room: "off"), FakeMember("ana")
    hub.join(hub.open_room("lobby", START), ana, "ana")
    hub.tell_presence()
    assert not hub.tick.waiting


def test_changes_that_nobody_was_there_to_see_are_not_told_later() -> None:
    lobby = Lobby()
    lobby.hub.listen(lobby.room, lambda publication: None)
    ana = lobby.join("ana")
    lobby.tell()
    lobby.hub.leave(lobby.room, ana, "ana")
    lobby.tell()
    bob = lobby.join("bob")
    lobby.tell()
    assert bob.writes == [change(["bob"], [], 1)]


# Members who were lost.


def test_a_lost_member_gets_nothing_more_and_is_thought_to_be_there() -> None:
    lobby = Lobby()
    ana, bob = lobby.join("ana"), lobby.join("bob")
    lobby.tell()
    ana.writes.clear()
    bob.writes.clear()
    lobby.hub.lose(lobby.room, bob, "bob")
    lobby.tell()
    lobby.hub.deliver(publication("lobby", "say", 1))
    lobby.flush()
    assert (ana.writes, bob.writes) == ([frames(publication("lobby", "say", 1))], [])
    assert (len(lobby.room), len(lobby.room.roster)) == (1, 2)


def test_a_lost_member_has_left_when_it_is_forgotten() -> None:
    lobby = Lobby()
    ana, bob = lobby.join("ana"), lobby.join("bob")
    lobby.tell()
    lobby.hub.lose(lobby.room, bob, "bob")
    lobby.hub.forget(lobby.room, "bob", "bob")
    lobby.tell()
    assert ana.writes[-1] == change([], ["bob"], 1)


def test_who_came_back_is_not_forgotten() -> None:
    lobby = Lobby()
    ana, bob = lobby.join("ana"), lobby.join("bob")
    lobby.tell()
    ana.writes.clear()
    lobby.hub.lose(lobby.room, bob, "bob")
    lobby.join("bob-again", "bob")
    lobby.hub.forget(lobby.room, "bob", "bob")
    lobby.tell()
    assert not ana.writes
    assert len(lobby.room.roster) == 2


def test_a_room_is_kept_while_somebody_may_come_back() -> None:
    lobby = Lobby()
    ana = lobby.join("ana")
    lobby.hub.lose(lobby.room, ana, "ana")
    assert not lobby.hub.release(lobby.room)
    lobby.hub.forget(lobby.room, "ana", "ana")
    assert lobby.hub.release(lobby.room)


def test_every_room_is_told_of_its_own_changes() -> None:
    lobby = Lobby()
    other: Room = lobby.hub.open_room("other", START)
    ana, bob = lobby.join("ana"), FakeMember("bob")
    lobby.hub.join(other, bob, "bob")
    lobby.tell()
    assert ana.writes == [change(["ana"], [], 1)]
    assert bob.writes == [
        frames(
            PresenceChange(
                room="other", joined={"bob": [{"client": "bob"}]}, left={}, count=1, position=START
            )
        )
    ]


@pytest.mark.parametrize(
    ("position", "count"), [(Position("e1", 5), 4), (Position("e2", 0), 0), (Position("e2", 9), 0)]
)
def test_members_are_told_where_a_room_goes_on_after_something_was_lost(
    position: Position, count: int
) -> None:
    lobby = Lobby()
    ana = lobby.join("ana")
    first, later = publication("lobby", "say", 1), publication("lobby", "say", 6)
    lobby.hub.deliver(first)
    lobby.hub.skip("lobby", position)
    lobby.hub.skip("elsewhere", position)
    lobby.hub.deliver(later)
    lobby.flush()
    dropped = Dropped(room="lobby", count=count, position=position)
    assert ana.writes == [frames(first, dropped, later)]
    assert lobby.room.position == later.position
