"""What an application wants of its rooms: ``app.rooms("chat/#", history=1000)``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from rooms.config import Settings
from rooms.core.history import Retention
from rooms.core.presence import PresenceMode
from rooms.core.slow import SlowPolicy, SlowRule
from rooms.protocol.topics import Filter, parse_filter

PRESENCE_MODES: tuple[PresenceMode, ...] = get_args(PresenceMode)
SLOW_POLICIES: tuple[SlowPolicy, ...] = get_args(SlowPolicy)


@dataclass(frozen=True, slots=True)
class RoomOptions:
    """What holds for the rooms that a filter names; what is None is left as it was.

    Attributes:
        history: How many publications are kept.
        ttl: For how many seconds each is kept.
        presence: Of what members are told.
        slow: What happens to the rooms' messages for those who do not read them.
    """

    filter: Filter
    history: int | None = None
    ttl: float | None = None
    presence: PresenceMode | None = None
    slow: SlowPolicy | None = None


class Options:
    """The options of one app; of several that name a room, what was said last holds."""

    def __init__(self) -> None:
        self._said: list[RoomOptions] = []

    def __iter__(self) -> Iterator[RoomOptions]:
        return iter(self._said)

    def add(self, options: RoomOptions) -> None:
        """Have ``options`` hold, whatever was said before."""
        self._said.append(options)

    def retention(self, room: str, settings: Settings) -> Retention:
        """Return how much of ``room`` is to be kept."""
        messages, seconds = settings.history_messages, settings.history_seconds
        for options in self._said:
            if options.filter.matches(room):
                messages = messages if options.history is None else options.history
                seconds = seconds if options.ttl is None else options.ttl
        return Retention(messages, seconds)

    def presence(self, room: str) -> PresenceMode:
        """Return of what the members of ``room`` are to be told."""
        for options in reversed(self._said):
            if options.presence is not None and options.filter.matches(room):
                return options.presence
        return "users"

    def slow(self, room: str) -> SlowRule | None:
        """Return what was said of clients that do not read ``room``, if anything was."""
        for options in reversed(self._said):
            if options.slow is not None and options.filter.matches(room):
                return SlowRule(options.slow, options.filter.text)
        return None


def room_options(
    rooms: str,
    history: int | None = None,
    ttl: float | None = None,
    presence: PresenceMode | None = None,
    slow: SlowPolicy | None = None,
) -> RoomOptions:
    """Return checked options.

    Raises:
        InvalidFilter: ``rooms`` is not a filter.
        ValueError: A number is out of its range, or a word none of those that it can be.
    """
    if history is not None and history < 0:
        raise ValueError(f"history={history}: keep 0 publications or more")
    if ttl is not None and ttl <= 0:
        raise ValueError(f"ttl={ttl}: keep publications for more than 0 seconds")
    if presence is not None and presence not in PRESENCE_MODES:
        raise ValueError(f"presence={presence!r}: choose one of {', '.join(PRESENCE_MODES)}")
    if slow is not None and slow not in SLOW_POLICIES:
        raise ValueError(f"slow={slow!r}: choose one of {', '.join(SLOW_POLICIES)}")
    return RoomOptions(parse_filter(rooms), history, ttl, presence, slow)
