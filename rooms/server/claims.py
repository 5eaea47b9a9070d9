"""Guests' names in the whole cluster: who has one on this node has it on all of them."""

from __future__ import annotations

from collections.abc import Callable

import trio

from rooms.brokers.peers import Peers
from rooms.errors import NameTaken, Unavailable
from rooms.protocol.commands import User
from rooms.server.guests import Guests

RETRY_SECONDS = 1.0
"""How long to wait before a name is released again that could not be."""


class Claims:
    """Claims in the engine what is held here.

    Args:
        nodes: Returns those that are alive: names that others hold are free.
    """

    def __init__(self, peers: Peers, guests: Guests, nodes: Callable[[], list[str]]) -> None:
        self._peers = peers
        self._guests = guests
        self._nodes = nodes
        self._over: dict[str, None] = {}
        self._changed = trio.Event()

    async def claim(self, user: User) -> User:
        """Claim a name that is held here; returns it as it is written where it was held first.

        Raises:
            NameTaken: Another node holds it with another secret.
            Unavailable: That cannot be known for the moment.
        """
        key, secret, _ = self._guests.claim_of(user)
        name = await self._peers.claim(key, secret, user.id, self._nodes())
        if name is None:
            raise NameTaken(f"Somebody else is {user.id!r} at the moment; choose another name.")
        return self._guests.settle(key, name)

    def release(self, key: str) -> None:
        """Have others take a name that is not held here any more; it is done soon."""
        self._over[key] = None
        self._changed.set()

    async def release_forever(self) -> None:
        """Release what is to be released, for ever."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            try:
                await self.release_now()
            except Unavailable:
                self._changed.set()
                await trio.sleep(RETRY_SECONDS)

    async def release_now(self) -> None:
        """Release all that is to be released.

        Raises:
            Unavailable: It cannot be done for the moment.
        """
        while self._over:
            key = next(iter(self._over))
            if not self._guests.holds(key):
                await self._peers.release(key)
            self._over.pop(key, None)

    async def release_all(self) -> None:
        """Release whatever this node holds, which ends; whoever may come back has it no longer.

        Raises:
            Unavailable: It cannot be done for the moment.
        """
        await self.release_now()
        for key, _, _ in self._guests.claims:
            await self._peers.release(key)

    async def keep(self) -> list[User]:
        """Claim all that is held here anew; returns those that somebody else has by now.

        Raises:
            Unavailable: That cannot be known for the moment.
        """
        taken = []
        for key, secret, user in self._guests.claims:
            if await self._peers.claim(key, secret, user.id, self._nodes()) is None:
                taken.append(user)
            elif not self._guests.holds(key):
                self.release(key)
        return taken
