"""Which publications have been made already, by the keys that their publishers gave them."""

from __future__ import annotations

from collections import OrderedDict

from rooms.brokers.base import KEY_SECONDS, KEYS, KEYS_EACH
from rooms.protocol.commands import Position

Named = tuple[str, str]
"""A room, and a key whose first line says whose it is."""


class Keys:
    """Remembers the position of every keyed publication for `KEY_SECONDS`.

    Args:
        limit: The most that are remembered; then the oldest are forgotten early.
        each: The most of one publisher: nobody can have the keys of all others forgotten.
    """

    def __init__(self, limit: int = KEYS, each: int = KEYS_EACH) -> None:
        self._limit = limit
        self._each = each
        # The oldest first; a plain dict walks over all that was dropped to find its first.
        self._positions: OrderedDict[Named, tuple[float, Position]] = OrderedDict()
        self._of: dict[str, OrderedDict[Named, None]] = {}

    def __len__(self) -> int:
        return len(self._positions)

    def find(self, room: str, key: str, now: float) -> Position | None:
        """Return the position of the publication that had ``key`` in ``room``, if any."""
        at, position = self._positions.get((room, key), (0.0, None))
        return position if position is not None and now - at < KEY_SECONDS else None

    def remember(self, room: str, key: str, position: Position, now: float) -> None:
        """Note a publication; ``now`` never goes back."""
        named = (room, key)
        if named in self._positions:
            self._drop(named)
        self._positions[named] = (now, position)
        own = self._of.setdefault(_publisher(named), OrderedDict())
        own[named] = None
        if len(own) > self._each:
            self._drop(next(iter(own)))
        self.forget(now)

    def forget(self, now: float) -> None:
        """Drop what is too old or too much."""
        while self._positions:
            oldest, (at, _) = next(iter(self._positions.items()))
            if len(self._positions) <= self._limit and now - at < KEY_SECONDS:
                return
            self._drop(oldest)

    def _drop(self, named: Named) -> None:
        del self._positions[named]
        publisher = _publisher(named)
        own = self._of[publisher]
        del own[named]
        if not own:
            del self._of[publisher]


def _publisher(named: Named) -> str:
    return named[1].partition("\n")[0]
