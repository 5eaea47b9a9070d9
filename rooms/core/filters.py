"""Which filters name a room: found in a tree of levels, however many filters there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from rooms.protocol.topics import ONE_LEVEL, REST, Filter

T = TypeVar("T")


class _Node(Generic[T]):
    """One level of the filters: what ends here, and the levels below."""

    __slots__ = ("below", "found")

    def __init__(self) -> None:
        self.below: dict[str, _Node[T]] = {}
        self.found: T | None = None


class FilterTree(Generic[T]):
    """Something for every filter; a room finds that of all the filters that name it.

    A search looks only where a level fits, whatever the number of filters (MQTT 5, section 4.7).

    Attributes:
        size: The number of filters.
    """

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self.size = 0

    def get(self, rooms: Filter) -> T | None:
        """Return what was set for exactly that filter."""
        node: _Node[T] | None = self._root
        for level in rooms.levels:
            node = node.below.get(level) if node is not None else None
        return node.found if node is not None else None

    def set(self, rooms: Filter, value: T) -> None:
        """Have rooms that the filter names find ``value``."""
        node = self._root
        for level in rooms.levels:
            node = node.below.setdefault(level, _Node())
        self.size += node.found is None
        node.found = value

    def remove(self, rooms: Filter) -> None:
        """Forget a filter; it need not be there."""
        path = [self._root]
        for level in rooms.levels:
            node = path[-1].below.get(level)
            if node is None:
                return
            path.append(node)
        self.size -= path[-1].found is not None
        path[-1].found = None
        for parent, level in zip(path[-2::-1], reversed(rooms.levels), strict=True):
            node = parent.below[level]
            if node.below or node.found is not None:
                return
            del parent.below[level]

    def match(self, room: str) -> Iterator[T]:
        """Yield what was set for each filter that names ``room``, as `Filter.matches` says."""
        levels = room.split("/")
        nodes = [self._root]
        for place, level in enumerate(levels):
            wild = place > 0 or not room.startswith("$")
            below: list[_Node[T]] = []
            for node in nodes:
                if wild and (rest := node.below.get(REST)) is not None:
                    yield from _found(rest)
                if wild and (one := node.below.get(ONE_LEVEL)) is not None:
                    below.append(one)
                if level not in (ONE_LEVEL, REST) and (same := node.below.get(level)) is not None:
                    below.append(same)
            nodes = below
        for node in nodes:
            yield from _found(node)
            if (rest := node.below.get(REST)) is not None:
                yield from _found(rest)


def _found(node: _Node[T]) -> Iterator[T]:
    if node.found is not None:
        yield node.found


class FilterCounts:
    """A set of filters in which each counts how often it was added."""

    def __init__(self) -> None:
        self._tree: FilterTree[int] = FilterTree()

    def __bool__(self) -> bool:
        return self._tree.size > 0

    def add(self, rooms: Filter) -> None:
        """Add a filter once more."""
        self._tree.set(rooms, (self._tree.get(rooms) or 0) + 1)

    def remove(self, rooms: Filter) -> None:
        """Undo one `add`; the filter need not be there."""
        count = self._tree.get(rooms)
        if count == 1:
            self._tree.remove(rooms)
        elif count is not None:
            self._tree.set(rooms, count - 1)

    def match(self, room: str) -> bool:
        """Whether any of them names ``room``."""
        return next(self._tree.match(room), None) is not None
