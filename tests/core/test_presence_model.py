"""Whoever takes the lists and applies the changes knows who is in the room, whatever happens."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec import Raw

from rooms.core.presence import PresenceMode, Roster
from rooms.protocol.commands import Presence

LIMIT = 2  # so small that pages and changes are often cut

users = st.sampled_from(["ana", "bob", "cem", "dee", "eve"])
details = st.none() | st.sampled_from([Raw(b'{"n":1}'), Raw(b'{"n":2}')])
choices = st.integers(0, 100)


class Follower:
    """A client that lists page by page while it is told of changes."""

    def __init__(self) -> None:
        self.known: Presence = {}
        self.after: str | None = None
        self.listing = True

    def list_one_page(self, roster: Roster) -> None:
        page = roster.page(LIMIT, self.after)
        self.known |= page.users
        self.listing = page.more
        self.after = max(page.users, default=None)

    def start_again(self) -> None:
        self.__init__()  # type: ignore[misc]  # it is one again that knows nothing


class PresenceModel(RuleBasedStateMachine):
    """A roster beside a plain record of which connection is in the room and which was lost."""

    @initialize(mode=st.sampled_from([mode for mode in get_args(PresenceMode) if mode != "off"]))
    def open(self, mode: PresenceMode) -> None:
        self.mode = mode
        self.roster = Roster(mode)
        self.live: dict[str, str] = {}
        self.lost: dict[str, str] = {}
        self.details: dict[str, Raw | None] = {}
        self.followers: list[Follower] = []
        self.numbers = 0

    @rule(user=users, details=details)
    def join(self, user: str, details: Raw | None) -> None:
        self.numbers += 1
        client = f"c{self.numbers}"
        self.roster.add(user, client, details)
        self.live[client], self.details[client] = user, details
        replaced = next((lost for lost, who in self.lost.items() if who == user), None)
        self.lost.pop(replaced or "", None)

    @precondition(lambda self: self.live)
    @rule(choice=choices)
    def leave(self, choice: int) -> None:
        client = self.choose(self.live, choice)
        self.roster.remove(self.live.pop(client), client)

    @precondition(lambda self: self.live)
    @rule(choice=choices)
    def lose(self, choice: int) -> None:
        client = self.choose(self.live, choice)
        self.lost[client] = self.live.pop(client)
        self.roster.linger(self.lost[client], client)

    @precondition(lambda self: self.lost)
    @rule(choice=choices)
    def stop_waiting(self, choice: int) -> None:
        client = self.choose(self.lost, choice)
        assert self.roster.forget(self.lost.pop(client), client)

    @precondition(lambda self: self.live)
    @rule(choice=choices, details=details)
    def set_details(self, choice: int, details: Raw | None) -> None:
        client = self.choose(self.live, choice)
        self.details[client] = details
        self.roster.set_details(self.live[client], client, details)

    @precondition(lambda self: len(self.followers) < 3)
    @rule()
    def follow(self) -> None:
        self.followers.append(Follower())

    @precondition(lambda self: self.followers)
    @rule(choice=choices)
    def list_one_page(self, choice: int) -> None:
        follower = self.followers[choice % len(self.followers)]
        if follower.listing:
            follower.list_one_page(self.roster)

    @rule()
    def tell(self) -> None:
        changes = self.roster.take_changes(LIMIT)
        for follower in self.followers:
            if changes is not None and changes.more:
                follower.start_again()
            elif changes is not None:
                follower.known |= changes.joined | changes.changed
                for user in changes.left:
                    follower.known.pop(user, None)
            if not follower.listing:
                assert self.shown(follower.known) == self.shown(self.expected())

    def choose(self, clients: dict[str, str], choice: int) -> str:
        return list(clients)[choice % len(clients)]

    def expected(self) -> Presence:
        """Everybody who is in the room or may be back."""
        here: Presence = {}
        for client, user in (self.live | self.lost).items():
            entry: dict[str, Any] = {"client": client}
            if (details := self.details[client]) is not None:
                entry["details"] = details
            here.setdefault(user, []).append(entry)
        return here

    def shown(self, presence: Presence) -> dict[str, list[str]]:
        """What clients must know of it: each connection, or only users and details."""
        whole = self.mode == "connections"
        return {
            user: sorted(
                str(entry if whole else bytes(entry["details"]))
                for entry in entries
                if whole or "details" in entry
            )
            for user, entries in presence.items()
        }

    def teardown(self) -> None:
        """After everything has settled, presence is who is connected, and nothing is kept."""
        if not hasattr(self, "roster"):
            return
        self.tell()
        while self.lost:
            self.stop_waiting(0)
        self.tell()
        listed = self.roster.page(1000).users
        clients = {entry["client"]: user for user in listed for entry in listed[user]}
        assert clients == self.live
        assert len(self.roster) == len(set(self.live.values()))


TestPresence = PresenceModel.TestCase
TestPresence.settings = settings(stateful_step_count=40)
