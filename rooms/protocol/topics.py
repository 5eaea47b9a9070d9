"""Filters over room names, by the rules of MQTT 5, section 4.7."""

from __future__ import annotations

from functools import lru_cache
from itertools import zip_longest

from rooms.errors import InvalidFilter
from rooms.protocol.names import NAME_BYTES, plain

ONE_LEVEL = "+"
REST = "#"


class Filter:
    """A room filter: ``/`` parts levels, ``+`` is any one level, a last ``#`` all that follow.

    ``sport/#`` takes ``sport`` too; neither wildcard takes a first level that begins with ``$``.

    Raises:
        InvalidFilter: A wildcard does not fill its level, ``#`` is not last, or the filter is
            empty, too long, not in its plain form (NFKC) or holds a control character.
    """

    __slots__ = ("levels", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.levels = tuple(text.split("/"))
        if not text or len(text.encode("utf-8", "surrogatepass")) > NAME_BYTES:
            raise InvalidFilter(f"A filter must be 1 to {NAME_BYTES} bytes long.")
        if not text.isprintable():
            raise InvalidFilter("A filter must be printable text.")
        if plain(text) != text:  # it would name no room
            raise InvalidFilter(f"In Unicode's plain form (NFKC), write {plain(text)!r}.")
        self._check_wildcards()

    def _check_wildcards(self) -> None:
        for place, level in enumerate(self.levels, 1):
            if level == REST and place < len(self.levels):
                raise InvalidFilter(f"In {self.text!r}, # must be the last level.")
            if len(level) > 1 and (ONE_LEVEL in level or REST in level):
                raise InvalidFilter(f"In {self.text!r}, a wildcard must fill its whole level.")

    def __repr__(self) -> str:
        return f"Filter({self.text!r})"

    @property
    def begins_wild(self) -> bool:
        """Whether a wildcard is the first level."""
        return self.levels[0] in (ONE_LEVEL, REST)

    def matches(self, room: str) -> bool:
        """Whether ``room`` is one of the rooms that this filter names."""
        if self.begins_wild and room.startswith("$"):
            return False
        names = room.split("/")
        for place, level in enumerate(self.levels):
            if level == REST:
                return True
            if place == len(names) or level not in (ONE_LEVEL, names[place]):
                return False
        return len(names) == len(self.levels)

    def overlaps(self, other: Filter) -> bool:
        """Whether some room is named by both filters."""
        if _hides(self, other) or _hides(other, self):
            return False
        for a, b in zip_longest(self.levels, other.levels):
            if REST in (a, b):
                return True
            if a is None or b is None or (a != b and ONE_LEVEL not in (a, b)):
                return False
        return True

    def covers(self, other: Filter) -> bool:
        """Whether every room that ``other`` names is named by this filter too."""
        if self.begins_wild and other.text.startswith("$"):
            return False
        for mine, its in zip_longest(self.levels, other.levels):
            if mine == REST:
                return True
            if mine != its and (mine != ONE_LEVEL or its in (None, REST)):
                return False
        return True


def _hides(named: Filter, wild: Filter) -> bool:
    """Whether ``named`` is for rooms of the server's own, which no wildcard finds."""
    return named.text.startswith("$") and wild.begins_wild


@lru_cache(maxsize=1024)
def parse_filter(text: str) -> Filter:
    """Return the `Filter` that ``text`` spells, made once.

    Raises:
        InvalidFilter: As `Filter`.
    """
    return Filter(text)
