"""One message on its way to many members."""

from __future__ import annotations

from rooms.protocol.commands import Message
from rooms.protocol.dialects.base import Dialect


class Outgoing:
    """A message that each dialect encodes and frames at most once, whatever the members' number.

    Attributes:
        order: Its place among all that the tick collects.
    """

    __slots__ = ("_frames", "message", "order")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.order = 0
        self._frames: dict[Dialect, bytes] = {}

    def frame(self, dialect: Dialect) -> bytes:
        """Return the frames that carry the message in ``dialect``."""
        frames = self._frames.get(dialect)
        if frames is None:
            frames = self._frames[dialect] = dialect.encode(self.message)
        return frames
