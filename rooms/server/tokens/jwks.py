"""Keys that an issuer publishes under a URL, fetched when they are needed and kept for a while."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence

import structlog
import trio

from rooms.errors import Refused
from rooms.server.tokens.fetch import FetchError
from rooms.server.tokens.keys import Key, KeySource, matching
from rooms.server.tokens.public import parse_jwks

FRESH_SECONDS = 600.0
"""Age from which on a set of keys is fetched anew."""

STALE_SECONDS = 3600.0
"""Age up to which it is used where it cannot be fetched anew."""

PAUSE_SECONDS = 10.0
"""Least time between two fetches, however many tokens name keys that nobody knows."""

log = structlog.get_logger("rooms")


class RemoteKeys(KeySource):
    """The keys of one issuer; of one fetch at a time, and shared with no other issuer.

    Args:
        fetch: Gets the set; it has a deadline of its own.
        url: Where from, for the log.
    """

    def __init__(self, fetch: Callable[[], Awaitable[bytes]], url: str) -> None:
        self._fetch_set = fetch
        self._url = url
        self._keys: list[Key] = []
        self._fetched_at = self._tried_at = -math.inf
        self._fetching = trio.Lock()

    async def find(self, key_id: str | None, algorithm: str) -> Sequence[Key]:
        """Return the keys of that name, after fetching the set if that may help.

        While one caller fetches, the others do with the keys that are known.

        Raises:
            Refused: Not even an old set is known; with status 503.
        """
        found = self._held(key_id, algorithm)
        if not found or not (self._is_fresh() or self._fetching.locked()):
            async with self._fetching:
                if not (self._is_fresh() and self._held(key_id, algorithm)):
                    await self._fetch_after_pause()
            found = self._held(key_id, algorithm)
        if not found and not self._age() < STALE_SECONDS:
            raise Refused(
                "Tokens cannot be checked at the moment.",
                503,
                detail="the issuer's keys cannot be fetched",
            )
        return found

    def _held(self, key_id: str | None, algorithm: str) -> list[Key]:
        return matching(self._keys, key_id, algorithm) if self._age() < STALE_SECONDS else []

    def _is_fresh(self) -> bool:
        return self._age() < FRESH_SECONDS

    def _age(self) -> float:
        return trio.current_time() - self._fetched_at

    async def _fetch_after_pause(self) -> None:
        if trio.current_time() - self._tried_at < PAUSE_SECONDS:
            return
        # What a client starts serves all: its going away must not waste the only try for a while.
        with trio.CancelScope(shield=True):
            try:
                self._keys = parse_jwks(await self._fetch_set())
                self._fetched_at = trio.current_time()
            except (FetchError, ValueError) as error:
                log.warning("keys of tokens not fetched", url=self._url, error=str(error))
            finally:
                self._tried_at = trio.current_time()
