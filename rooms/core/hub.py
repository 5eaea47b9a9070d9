"""All rooms of this process and who is where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import UNSET, Raw

from rooms.core.filters import FilterTree
from rooms.core.outgoing import Outgoing
from rooms.core.presence import Changes, PresenceMode
from rooms.core.room import Listener, Member, Room
from rooms.core.slow import SlowRule, portion_of
from rooms.core.tick import Tick
from rooms.errors import AlreadyJoined, NotMember
from rooms.protocol.commands import Dropped, Position, PresenceChange, Publication
from rooms.protocol.topics import Filter

PRESENCE_USERS = 100
"""The most users that one frame names; counts are exact whatever the number."""


class Sharing(Protocol):
    """Tells other nodes who is in the rooms of this one."""

    def put(self, room: str, client: str, user: str, details: Raw | None) -> None:
        """Note a connection, or what is told of it now."""
        ...

    def drop(self, room: str, client: str) -> None:
        """Note that a connection is gone; it need not have been there."""
        ...


class Hub:
    """The rooms that somebody here is in.  Plain ``def`` only: no call is seen half done.

    A room exists while it has a member, a listener, or a user who was lost and may come back;
    `open_room` makes it, `release` lets it go.

    Args:
        presence: Says of what the members of a room are told.
        slow: Says what happens to a room's messages for those who do not read them.

    Attributes:
        sharing: Is told of every connection, where there are other nodes.
    """

    def __init__(
        self,
        tick: Tick,
        presence: Callable[[str], PresenceMode] = lambda room: "users",
        slow: Callable[[str], SlowRule | None] = lambda room: None,
    ) -> None:
        self.tick = tick
        self._presence = presence
        self._slow = slow
        self.sharing: Sharing | None = None
        self.rooms: dict[str, Room] = {}
        self.changed_rosters: dict[Room, None] = {}
        self._followers: FilterTree[dict[Member, None]] = FilterTree()

    def open_room(self, name: str, position: Position) -> Room:
        """Return the room, new at ``position`` if nobody here was in it."""
        room = self.rooms.get(name)
        if room is None:
            room = Room(name, position, self._presence(name), self._slow(name))
            self.rooms[name] = room
        return room

    def release(self, room: Room) -> bool:
        """Forget ``room`` if it is empty, and say whether that was done."""
        if not room.empty or self.rooms.get(room.name) is not room:
            return False
        del self.rooms[room.name]
        self.changed_rosters.pop(room, None)
        return True

    def join(self, room: Room, member: Member, user: str, details: Raw | None = None) -> None:
        """Make ``member`` a member on behalf of ``user``.

        Args:
            details: What is told of the connection beside its id.

        Raises:
            AlreadyJoined: It is one.
        """
        if member in room:
            raise AlreadyJoined(f"This connection is in {room.name!r} already.")
        self.tick.join(room, member)
        replaced = room.roster.add(user, member.id, details)
        self._note_roster(room)
        if self.sharing is not None:
            self.sharing.put(room.name, member.id, user, details)
            if replaced is not None:
                self.sharing.drop(room.name, replaced)

    def leave(self, room: Room, member: Member, user: str) -> None:
        """Undo `join`.

        Raises:
            NotMember: There is nothing to undo.
        """
        if member not in room:
            raise NotMember(f"This connection is not in {room.name!r}.")
        self.tick.leave(room, member)
        room.roster.remove(user, member.id)
        self._note_roster(room)
        if self.sharing is not None:
            self.sharing.drop(room.name, member.id)

    def lose(self, room: Room, member: Member, user: str) -> None:
        """As `leave`, but the others think that it is still there, until `forget`."""
        self.tick.leave(room, member)
        room.roster.linger(user, member.id)

    def forget(self, room: Room, member_id: str, user: str) -> None:
        """Tell the others that a member is gone who was lost, if its user has not come back."""
        if room.roster.forget(user, member_id):
            self._note_roster(room)
        if self.sharing is not None:
            self.sharing.drop(room.name, member_id)

    def set_details(self, room: Room, member: Member, user: str, details: Raw | None) -> None:
        """Change what is told of a member beside its id; None is nothing."""
        room.roster.set_details(user, member.id, details)
        self._note_roster(room)
        if self.sharing is not None:
            self.sharing.put(room.name, member.id, user, details)

    def join_elsewhere(self, room: Room, client: str, user: str, details: Raw | None) -> None:
        """Note a connection of another node."""
        replaced = room.roster.add(user, client, details)
        self._note_roster(room)
        if replaced is not None and self.sharing is not None:
            self.sharing.drop(room.name, replaced)

    def leave_elsewhere(self, room: Room, client: str, user: str) -> None:
        """Undo `join_elsewhere`."""
        room.roster.remove(user, client)
        self._note_roster(room)

    def change_elsewhere(self, room: Room, client: str, user: str, details: Raw | None) -> None:
        """Change what is told of a connection of another node."""
        room.roster.set_details(user, client, details)
        self._note_roster(room)

    def listen(self, room: Room, listener: Listener) -> None:
        """Have ``listener`` called with each publication from now on."""
        room.listeners.append(listener)

    def deliver(self, publication: Publication) -> None:
        """Give a publication to everybody here who is in its room."""
        room = self.rooms.get(publication.room)
        if self._followers.size:
            self._tell_followers(room, publication)
        if room is None:
            return
        position, last = publication.position, room.position
        if position.offset <= last.offset and position.epoch == last.epoch:
            return  # on its way since before the room was opened: who joins has been told of it
        room.position = position
        if room.members:
            self.tick.size += len(publication.payload)
            self.tick.publish(room, Outgoing(publication))
        if room.listeners:
            for listener in tuple(room.listeners):
                listener(publication)

    def skip(self, name: str, position: Position) -> None:
        """Tell the members of a room that what came before ``position`` may have been lost."""
        room = self.rooms.get(name)
        if room is None:
            return
        last, room.position = room.position, position
        count = position.offset - last.offset if position.epoch == last.epoch else 0
        if room.members:
            dropped = Dropped(room=name, count=max(count, 0), position=position)
            self.tick.publish(room, Outgoing(dropped))

    def follow(self, rooms: Filter, member: Member) -> None:
        """Have ``member`` told what is published in the rooms that a filter names."""
        followers = self._followers.get(rooms)
        if followers is None:
            self._followers.set(rooms, {member: None})
        else:
            followers[member] = None

    def unfollow(self, rooms: Filter, member: Member) -> None:
        """Undo `follow`; it need not have been done."""
        followers = self._followers.get(rooms) or {}
        followers.pop(member, None)
        if not followers:
            self._followers.remove(rooms)

    def _tell_followers(self, room: Room | None, publication: Publication) -> None:
        """Tell everybody who follows the room, once, and nobody who is in it."""
        outgoing, rule = Outgoing(publication), self._slow(publication.room)
        portion = None if rule is None else portion_of(publication.room, rule, [outgoing])
        found: dict[Member, None] = {}
        for followers in self._followers.match(publication.room):
            found |= followers
        for member in found:
            inside = room is not None and member in room
            if not inside and (frames := outgoing.frame(member.dialect)):
                self.tick.send(member, frames, portion)

    def tell_presence(self) -> None:
        """Tell the members of every room whose users changed, once."""
        rooms, self.changed_rosters = self.changed_rosters, {}
        for room in rooms:
            if not room.members:
                room.roster.drop_changes()
            elif changes := room.roster.take_changes(PRESENCE_USERS):
                self.tick.publish(room, Outgoing(_message(room, changes)))

    def _note_roster(self, room: Room) -> None:
        if room.roster.changed:
            self.changed_rosters[room] = None


def _message(room: Room, changes: Changes) -> PresenceChange:
    return PresenceChange(
        room=room.name,
        joined=changes.joined,
        left=changes.left,
        changed=changes.changed or UNSET,
        count=len(room.roster),
        position=room.position,
        more=changes.more or UNSET,
    )
