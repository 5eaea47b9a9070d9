"""What somebody may do in which rooms: ``{"team/1": ["join", "publish"]}``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from rooms.errors import RequestError
from rooms.protocol.topics import Filter, parse_filter

Action = Literal["join", "publish", "subscribe", "presence", "history"]
"""What one can ask of a room."""

ACTIONS: tuple[Action, ...] = get_args(Action)


class Grants:
    """Rooms, by filters, and what may be done in each; all that is not named is forbidden."""

    __slots__ = ("_granted",)

    def __init__(self, granted: Iterable[tuple[Filter, frozenset[str]]]) -> None:
        self._granted = tuple(granted)

    @property
    def claim(self) -> dict[str, list[str]]:
        """What `parse_grants` makes the same grants of."""
        return {rooms.text: sorted(actions) for rooms, actions in self._granted}

    def allow(self, action: Action, room: str) -> bool:
        """Whether ``action`` may be done in ``room``."""
        return any(action in actions and rooms.matches(room) for rooms, actions in self._granted)

    def cover(self, action: Action, rooms: Filter) -> bool:
        """Whether one grant allows ``action`` in every room that a filter names."""
        return any(
            action in actions and granted.covers(rooms) for granted, actions in self._granted
        )

    def rooms(self, action: Action) -> list[str]:
        """Return the rooms that are named one by one, without wildcards, for ``action``."""
        named = (str(rooms.text) for rooms, actions in self._granted if action in actions)
        return [name for name in named if not {"+", "#"} & set(name)]


def parse_grants(claim: object) -> Grants:
    """Return the grants that a token's claim spells: room filters, each with a list of actions.

    Raises:
        ValueError: It is not such an object; the message says what is wrong with it.
    """
    if not isinstance(claim, Mapping):
        raise ValueError("the rooms must be an object of filters, each with a list of actions")
    return Grants([_grant(rooms, actions) for rooms, actions in claim.items()])


def _grant(rooms: object, actions: object) -> tuple[Filter, frozenset[str]]:
    try:
        granted = parse_filter(str(rooms))
    except RequestError as error:
        raise ValueError(f"{rooms!r} is not a filter of rooms: {error}") from None
    if not isinstance(actions, list | tuple) or not all(isinstance(each, str) for each in actions):
        raise ValueError(f"the actions in {rooms!r} must be a list of words")
    unknown = sorted(set(actions) - set(ACTIONS))
    if unknown:
        raise ValueError(f"{unknown[0]!r} in {rooms!r} is none of {', '.join(ACTIONS)}")
    return granted, frozenset(actions)
