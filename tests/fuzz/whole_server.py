"""Random bytes, frames and commands for a whole server, beside a client that must not notice.

`python -m tests.fuzz.whole_server SECONDS SEED` is the long form; see ``scripts/fuzz``.
"""

from __future__ import annotations

import contextlib
import random
import sys
import time

import trio

from rooms.testing import Closed, Refused, TestClient, client_close, client_frame
from tests.fuzz.targets import corpus
from tests.server.hostile.ground import Ground, ground

CLIENTS, VISITS = 5, 8
GONE = (Closed, Refused, trio.BrokenResourceError, trio.ClosedResourceError)
PATIENCE = 0.05
"""Seconds that a client waits for an answer to nonsense."""


class Nonsense:
    """Makes up what a client sends: the good, the bad, and the good with some bytes changed."""

    def __init__(self, seed: int) -> None:
        self.luck = random.Random(seed)
        self._heads = corpus("head") + corpus("handshake")
        self._frames = [data[1:] for data in corpus("frames")]
        self._commands = corpus("native") + corpus("positions")

    def head(self) -> bytes:
        """Return the head of a request, and something behind it."""
        return self.mutate(self.luck.choice(self._heads)) + b"\r\n\r\n" + self.frame()

    def frame(self) -> bytes:
        """Return a frame, or several, or nearly one."""
        kind = self.luck.random()
        if kind < 0.5:
            return client_frame(self._command())
        if kind < 0.6:
            return self._in_fragments(self._command())
        if kind < 0.65:
            return client_close(self.luck.choice([1000, 1001, 3000, 1005, 0]))
        frames = self.luck.choice(self._frames)
        return frames if kind < 0.8 else self.mutate(frames)

    def mutate(self, data: bytes) -> bytes:
        """Return ``data`` with a few bytes changed, put in or left out."""
        changed = bytearray(data)
        for _ in range(self.luck.randrange(4)):
            place = self.luck.randrange(len(changed) + 1)
            put_in = self.luck.randbytes(self.luck.randrange(4))
            changed[place : place + self.luck.randrange(4)] = put_in
        return bytes(changed)

    def _command(self) -> bytes:
        command = self.luck.choice(self._commands)
        return command if self.luck.random() < 0.7 else self.mutate(command)

    def _in_fragments(self, data: bytes) -> bytes:
        place = self.luck.randrange(len(data) + 1)
        return client_frame(data[:place], fin=False) + client_frame(data[place:], 0)


class Fool:
    """A client that visits again and again, and talks nonsense."""

    def __init__(self, place: Ground, seed: int) -> None:
        self._place = place
        self._nonsense = Nonsense(seed)
        self._luck = self._nonsense.luck

    async def run(self) -> None:
        """Visit a few times."""
        for _ in range(VISITS):
            with contextlib.suppress(*GONE):
                await self._visit()

    async def _visit(self) -> None:
        stream = await self._place.open_clear()
        client = TestClient(stream)
        if self._luck.random() < 0.2:
            await stream.send_all(self._nonsense.head())
        else:
            await client.handshake()
        for _ in range(self._luck.randrange(1, 12)):
            await client.send_raw(self._nonsense.frame())
            if self._luck.random() < 0.3:
                await self._listen(client)
        await self._leave(client)

    async def _listen(self, client: TestClient) -> None:
        with trio.move_on_after(PATIENCE):
            await client.message()

    async def _leave(self, client: TestClient) -> None:
        if self._luck.random() < 0.5:
            await client.send_raw(client_close())
            with trio.move_on_after(PATIENCE):
                await client.closing()
        await trio.aclose_forcefully(client.stream)


async def play_round(seed: int) -> None:
    """Let some fools at a server; then nothing of them is left, and nobody noticed.

    Raises:
        AssertionError: The server logged an error, or something was left behind.
    """
    async with ground(close_seconds=0.5, presence_grace=0, handshakes_per_address=0) as place:
        witness = await place.connect()
        async with trio.open_nursery() as nursery:
            for number in range(CLIENTS):
                nursery.start_soon(Fool(place, seed * 1000 + number).run)
            for number in range(20):
                assert await witness.event("echo", payload=number)
        assert (await witness.close()).code == 1000


def main(seconds: float = 20, seed: int = 1) -> None:
    """Play rounds for so many seconds and say how many there were."""
    started, rounds = time.monotonic(), 0
    while time.monotonic() - started < seconds:
        trio.run(play_round, seed + rounds)
        rounds += 1
    visits = rounds * CLIENTS * VISITS
    print(f"{visits} visits in {rounds} rounds from seed {seed}: no harm done")


if __name__ == "__main__":
    main(*[int(argument) for argument in sys.argv[1:3]])
