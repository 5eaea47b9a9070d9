"""How the keys and channels in the engine are called."""

from __future__ import annotations

from hashlib import blake2b


class Names:
    """Names what belongs to one server's, or one cluster of servers', rooms.

    What belongs to a room has the room as its hash tag, so a cluster keeps it in one place and one
    script can reach all of it.

    Args:
        prefix: The first part of every name, without braces.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def room(self, kind: str, room: str) -> str:
        """Return the name of something of a room: ``prefix:{room}:kind``."""
        return f"{self.prefix}:{{{_tag(room)}}}:{kind}"

    def key(self, room: str, key: str) -> str:
        """Return the name under which the key of a publication is remembered."""
        digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return self.room(f"k:{digest}", room)

    def shared(self, kind: str) -> str:
        """Return the name of something of all rooms."""
        return f"{self.prefix}:{kind}"


def _tag(room: str) -> str:
    """Return ``room`` as a hash tag: a brace in it would end the tag too early."""
    return room.replace("%", "%25").replace("}", "%7D")
