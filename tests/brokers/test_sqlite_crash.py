"""A server with a durable broker is killed under load: nothing that it acknowledged is lost."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path

import trio

from rooms.protocol.commands import Position
from rooms.testing import Closed, TestClient
from tests.cli.processes import connect, serving

CRASHES = int(os.environ.get("CRASHES", "2"))  # to look harder: CRASHES=20
PUBLISHERS = 8
PUBLICATIONS = 100
"""Acknowledged between two crashes, before the server is killed."""

PAGE = 1000
APPLICATION = "from rooms import App\napp = App(relay=True, guests=True)\n"
Said = tuple[str, int]


class Publisher:
    """Says one number after the other, and each again until it has been acknowledged."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.acknowledged: dict[Said, Position] = {}
        self._number = 0

    async def run(self, port: int, enough: trio.Semaphore) -> None:
        """Publish until the server is gone; ``enough`` counts what it acknowledges."""
        with suppress(Closed, OSError, trio.BrokenResourceError):
            async with signed_in(port, self.name) as client:
                while True:
                    await self._say(client)
                    enough.release()

    async def _say(self, client: TestClient) -> None:
        said = [self.name, self._number]
        reply = await client.request(
            type="event", event="said", room="lobby", payload=said, key=f"k{self._number}"
        )
        self.acknowledged[self.name, self._number] = Position(*reply["position"])
        self._number += 1


@asynccontextmanager
async def signed_in(port: int, name: str) -> AsyncIterator[TestClient]:
    client = await connect(port)
    async with client.stream:
        await client.request(type="auth", name=name, secret=f"secret of {name}")
        await client.join("lobby")
        yield client


async def publish_until_killed(path: Path, publishers: Sequence[Publisher]) -> None:
    enough = trio.Semaphore(0)
    async with served(path) as (process, port, _), trio.open_nursery() as nursery:
        for publisher in publishers:
            nursery.start_soon(publisher.run, port, enough)
        for _ in range(PUBLICATIONS):
            await enough.acquire()
        process.kill()


def served(path: Path) -> AbstractAsyncContextManager[tuple[trio.Process, int, str]]:
    path.with_name("relay.py").write_text(APPLICATION)
    options = ("--broker", f"sqlite:///{path}", "--history-messages", "100000")
    return serving("relay:app", *options, "--log-level", "warning", cwd=path.parent)


async def history(client: TestClient) -> list[tuple[Said, Position]]:
    found: list[tuple[Said, Position]] = []
    more = True
    while more:
        since = {"since": found[-1][1]} if found else {}
        page = await client.request(
            type="history", room="lobby", limit=PAGE, order="oldest", **since
        )
        for each in page["publications"]:
            name, number = each["payload"]
            found.append(((name, number), Position(*each["position"])))
        more = page.get("more", False)
    return found


async def test_what_was_acknowledged_is_in_the_history_once_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "rooms.db"
    publishers = [Publisher(f"publisher {number}") for number in range(PUBLISHERS)]
    for _ in range(CRASHES):
        await publish_until_killed(path, publishers)
    async with served(path) as (_, port, _printed), signed_in(port, "reader") as client:
        found = await history(client)
    positions = dict(found)
    for publisher in publishers:
        assert publisher.acknowledged.items() <= positions.items()
        numbers = [number for (name, number), _ in found if name == publisher.name]
        assert numbers == list(range(len(numbers)))
    assert len(found) >= CRASHES * PUBLICATIONS
    assert {position.epoch for _, position in found} == {found[0][1].epoch}
    assert all(b.offset == a.offset + 1 for (_, a), (_, b) in pairwise(found))
    assert found[0][1].offset == 1
