"""What clients of other dialects can say that clients of the native one cannot."""

from __future__ import annotations

from typing import Any

from msgspec import Raw, field

from rooms.protocol.commands import NULL, Command, CommandBase, SendEvent


class ForeignEvent(SendEvent, frozen=True, tag="foreign", kw_only=True):
    """An event with more to it.

    Attributes:
        headers: What came beside the payload, for handlers.
        outside: Whether the sender need not be in the room: some dialects have publishers that
            are not subscribers.
    """

    headers: dict[str, Any] = field(default_factory=dict)
    outside: bool = False


class Tell(CommandBase, frozen=True, tag="tell", kw_only=True):
    """An event to connections by the names that they go by; nobody of a name is no mistake."""

    names: tuple[str, ...]
    event: str
    payload: Raw = NULL


Said = Command | Tell
"""Whatever a client can say."""
