"""The contract of what outlasts the nodes beside publications, in prose.

`rooms.testing.brokers.notes` has a test for each sentence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple


class Note(NamedTuple):
    """Something small under a name, and for how many seconds it is kept from now on."""

    name: str
    value: bytes
    seconds: float


class Notes(ABC):
    """Notes that nodes leave for those that start later.

    A note can be read by every node until its time is over, whoever has written it and whether
    that one still lives.  Written again it has the new value and the later of the two ends.

    Both methods may raise `Unavailable`; then what they should do can be done again.
    """

    @abstractmethod
    async def write(self, notes: Sequence[Note]) -> None:
        """Write some notes; one whose time is over is none."""

    @abstractmethod
    async def read(self) -> list[Note]:
        """Return all notes that there are, in any order; one of them may be there twice."""
