"""Which publications have been made already, by the keys that their publishers gave them."""

from __future__ import annotations

from rooms.brokers.base import KEY_SECONDS, KEYS
from rooms.protocol.commands import Position


class Keys:
    """Remembers the position of every keyed publication for `KEY_SECONDS`.

    Args:
        limit: The most that are remembered; then the oldest are forgotten early.
    """

    def __init__(self, limit: int = KEYS) -> None:
        self._limit = limit
        self._positions: dict[tuple[str, str], tuple[float, Position]] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._positions)

    def find(self, room: str, key: str, now: float) -> Position | None:
        """Return the position of the publication that had ``key`` in ``room``, if any."""
        at, position = self._positions.get((room, key), (0.0, None))
        return position if position is not None and now - at < KEY_SECONDS else None

    def remember(self, room: str, key: str, position: Position, now: float) -> None:
        """Note a publication; ``now`` never goes back."""
        self._positions.pop((room, key), None)
        self._positions[room, key] = (now, position)
        self.forget(now)

    def forget(self, now: float) -> None:
        """Drop what is too old or too much."""
        positions = self._positions
        while positions:
            oldest = next(iter(positions))
            if len(positions) <= self._limit and now - positions[oldest][0] < KEY_SECONDS:
                return
            del positions[oldest]
