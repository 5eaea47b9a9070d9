"""Rules: an application's own functions that say who may do what in which rooms."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from rooms.core.grants import ACTIONS, Action
from rooms.core.identity import Identity
from rooms.errors import InvalidPayload
from rooms.protocol.commands import User
from rooms.protocol.topics import ONE_LEVEL, REST, Filter, parse_filter

if TYPE_CHECKING:
    from rooms.server.client import Client

Answer = bool | None
"""True allows, False denies, None leaves it to other rules and to grants."""

RuleFunction = Callable[["Access"], Answer | Awaitable[Answer]]

HEARING = frozenset({"join", "subscribe"})
"""The actions by which one gets what is published in a room."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a client asks to do, as a rule sees it.

    Attributes:
        action: ``join``, ``publish``, ``subscribe``, ``presence`` or ``history``.
        room: Where; None where a filter with wildcards is subscribed to.
        filter: What is subscribed to, else None.
        event: The name of what is to be published, else None.
        raw: The payload of what is to be published, as it came, else None.
    """

    client: Client
    action: Action
    room: str | None = None
    filter: str | None = None
    event: str | None = None
    raw: Raw | None = None

    @property
    def user(self) -> User | None:
        """Who asks; None for somebody who has not signed in."""
        return self.client.user

    @property
    def identity(self) -> Identity | None:
        """What came with the proof of who that is, for instance a token's claims."""
        return self.client.identity

    @property
    def payload(self) -> Any:
        """What is to be published, decoded anew each time; None for other actions.

        Raises:
            InvalidPayload: Python cannot hold it; the sender is told so.
        """
        if self.raw is None:
            return None
        try:
            return msgspec.json.decode(self.raw)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise InvalidPayload(f"The payload cannot be read: {error}.") from None


@dataclass(frozen=True, slots=True)
class Rule:
    """A function that is asked about some actions in the rooms that a filter names.

    Attributes:
        waits: Whether the function is asynchronous; a plain one is asked where a command is read.
    """

    function: RuleFunction
    actions: frozenset[str]
    rooms: Filter
    waits: bool

    def concerns(self, access: Access) -> bool:
        """Whether what is asked for touches rooms of this rule."""
        if access.room is not None:
            return self.rooms.matches(access.room)
        return access.filter is not None and self.rooms.overlaps(parse_filter(access.filter))

    def asked(self, access: Access) -> bool:
        """Whether the function has a say in what is asked for.

        Who is kept from joining a room is not to hear it through a filter either.
        """
        return access.action in self.actions or self.hears(access)

    def hears(self, access: Access) -> bool:
        """Whether that would tell what is published in rooms that this rule keeps people out of."""
        return access.action == "subscribe" and not self.actions.isdisjoint(HEARING)

    def can_judge(self, access: Access) -> bool:
        """Whether the function can answer for everything that is asked for.

        For a filter it must be one for subscriptions to all the rooms that the filter names.
        """
        if access.room is not None or access.filter is None:
            return True
        return "subscribe" in self.actions and self.rooms.covers(parse_filter(access.filter))


class Rules:
    """The rules of one app, in the order in which they were registered."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def __bool__(self) -> bool:
        return bool(self._rules)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules)

    def add(self, rule: Rule) -> None:
        """Have ``rule`` asked from now on, after those that are there."""
        self._rules.append(rule)

    def concerning(self, access: Access) -> list[Rule]:
        """Return the rules whose rooms are touched by what is asked for."""
        return [rule for rule in self._rules if rule.concerns(access)]


def make_rule(function: RuleFunction, actions: tuple[str, ...], room: str) -> Rule:
    """Return a checked rule.

    Raises:
        InvalidFilter: ``room`` is not a filter.
        ValueError: No action is named, or one that there is not.
        TypeError: The function takes nothing.
    """
    unknown = sorted(set(actions) - set(ACTIONS))
    if unknown or not actions:
        named = f"{unknown[0]!r} is no action" if unknown else "name an action"
        raise ValueError(f"{named}: choose of {', '.join(ACTIONS)}")
    if not inspect.signature(function).parameters:
        raise TypeError(f"{function!r} decides about rooms, so it must take what is asked")
    waits = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object may be called, too
    )
    return Rule(function, frozenset(actions), parse_filter(room), waits)


def room_access(client: Client, action: Action, room: str) -> Access:
    """Return the question whether a client may do something in a room."""
    return Access(client, action, room)


def filter_access(client: Client, rooms: Filter) -> Access:
    """Return the question whether a client may subscribe to a filter."""
    plain = ONE_LEVEL not in rooms.levels and REST not in rooms.levels
    return Access(client, "subscribe", rooms.text if plain else None, rooms.text)
