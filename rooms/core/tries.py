"""How often somebody may try to guess a secret."""

from __future__ import annotations

from collections import OrderedDict

TRIES = 10
"""Failures that may come at once."""

SECONDS = 6.0
"""How long it takes until one of them is forgotten."""

REMEMBERED = 4096
"""Most who are remembered; the one who failed longest ago is forgotten first."""


class FailedTries:
    """Counts the failures of everybody, as buckets that leak one in `SECONDS`.

    Of each only the time is kept at which all is forgotten (the generic cell rate algorithm).
    """

    def __init__(self) -> None:
        self._clean: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._clean)

    def wait(self, who: str, now: float) -> float:
        """Return for how many seconds ``who`` may not try; 0 if they may.

        Args:
            now: The time in seconds, of any clock that only goes forward.
        """
        full = now + (TRIES - 1) * SECONDS
        return max(0.0, self._clean.get(who, now) - full)

    def forgive(self, who: str) -> None:
        """Count one failure less: what was tried was right."""
        if who in self._clean:
            self._clean[who] -= SECONDS

    def fail(self, who: str, now: float) -> None:
        """Count one more failure."""
        self._clean[who] = max(self._clean.get(who, now), now) + SECONDS
        self._clean.move_to_end(who)
        if len(self._clean) > REMEMBERED:
            self._clean.popitem(last=False)
