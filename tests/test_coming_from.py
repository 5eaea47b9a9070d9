"""The pages for people who come from other systems: their samples run, their table is whole."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App, Settings
from rooms.protocol.frames import CLOSE
from rooms.testing import Frame, Refused, TestClient, client_close, in_memory
from tests.seeds.talk import connect, event, hear, hear_json, say, stuck
from tests.server.hypercorn import hypercorn

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "coming-from"
TABLE = (PAGES / "table.md").read_text(encoding="utf-8")
ROWS = {
    "zaptools": 23,
    "apistar-websocket": 13,
    "fastapi-distributed-websocket": 24,
    "tranzit": 20,
    "asws": 22,
}


def names_of(page: str, number: int = 0) -> dict[str, Any]:
    """Run one of a page's samples for this server; returns what it defines."""
    samples = re.findall(r"```python\n(.*?)```", (PAGES / page).read_text(encoding="utf-8"), re.S)
    source = [sample for sample in samples if "from rooms import" in sample][number]
    names: dict[str, Any] = {"__name__": "sample"}
    exec(compile(source, page, "exec", dont_inherit=True), names)
    assert isinstance(names["app"], App)
    return names


def app_of(page: str, number: int = 0) -> App:
    app: App = names_of(page, number)["app"]
    return app


async def test_zaptools_the_echo_echoes(autojump_clock: MockClock) -> None:
    async with in_memory(app_of("zaptools.md")) as server:
        client = await connect(server, "/zaptools")
        await say(client, {"eventName": "echo", "payload": 1, "headers": {"a": "b"}})
        assert await hear_json(client) == {
            "eventName": "echo",
            "payload": 1,
            "headers": {"a": "b"},
        }


async def test_zaptools_fastapi_has_it_below_a_path() -> None:
    pytest.importorskip("fastapi")
    async with hypercorn(names_of("zaptools.md", 1)["web"]) as port:
        client = TestClient(await trio.open_tcp_stream("127.0.0.1", port))
        await client.handshake("/live/zaptools")
        await say(client, {"eventName": "echo", "payload": [1], "headers": {}})
        assert await event(client) == ("echo", [1])
        await client.close()


async def test_fdw_topics_and_broadcasts_arrive(autojump_clock: MockClock) -> None:
    async with in_memory(app_of("fdw.md")) as server:
        ana, ben = await connect(server, "/fdw/ana"), await connect(server, "/fdw/ben")
        await say(ben, {"type": "subscribe", "topic": "news/#"})
        await wait_all_tasks_blocked()
        await say(ana, {"type": "send", "topic": "news/today", "msg": "rain"})
        await say(ana, {"type": "broadcast", "msg": "hi"})
        assert [await hear_json(ben), await hear_json(ben)] == [{"msg": "rain"}, {"msg": "hi"}]
        assert await hear_json(ana) == {"msg": "hi"}


async def test_fdw_a_token_is_asked_for(autojump_clock: MockClock) -> None:
    async with in_memory(app_of("fdw.md", 1)) as server:
        with pytest.raises(Refused, match="401"):
            await connect(server, "/fdw/ana", "Authorization: Bearer x\r\n")
        ana = await connect(server, "/fdw/ana", "Authorization: Bearer ana's token\r\n")
        await say(ana, {"type": "broadcast", "msg": "hi"})
        assert await hear_json(ana) == {"msg": "hi"}


async def test_apistar_websocket_the_greeting_is_as_it_was(autojump_clock: MockClock) -> None:
    async with in_memory(app_of("apistar-websocket.md")) as server:
        client = await connect(server, "/some/path")
        for number in range(2):
            assert await hear_json(client) == {"greeting": "some/path", "number": number}
            await say(client, "next")
        assert await client.frame() == Frame(CLOSE, (1000).to_bytes(2, "big"))


async def test_tranzit_hello_comes_each_second_until_its_client_leaves(
    autojump_clock: MockClock,
) -> None:
    async with in_memory(app_of("tranzit.md")) as server:
        await wait_all_tasks_blocked()
        before = trio.lowlevel.current_statistics().tasks_living
        client = await connect(server, "/tranzit")
        await say(client, "get_hello|")
        for _ in range(3):
            assert await hear(client) == "get_hello|HELLO!"
        assert trio.current_time() == pytest.approx(2, abs=0.1)
        await client.send_raw(client_close())
        await server.node.idle()
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == before


async def test_asws_everybody_hears_everybody_whoever_does_not_read(
    autojump_clock: MockClock,
) -> None:
    async with in_memory(app_of("asws.md"), Settings(rate_messages=0)) as server:
        await stuck(server, "/")
        ana, ben = await connect(server, "/"), await connect(server, "/")
        await wait_all_tasks_blocked()
        for number in range(300):
            await say(ana, f"{number} " + "x" * 4000)
            for client in (ana, ben):
                assert (await hear(client)).startswith(f"{number} ")
        await ana.close()
        await say(ben, "alone?")
        assert await hear(ben) == "alone?"
        server.nursery.cancel_scope.cancel()


async def test_asws_messages_are_streamed(autojump_clock: MockClock) -> None:
    async with in_memory(app_of("asws.md", 1)) as server:
        client = await connect(server, "/echo")
        await say(client, "again")
        assert await hear(client) == "again"
        client = await connect(server, "/count")
        frames = [await client.frame() for _ in range(4)]
        assert b"".join(frame.payload for frame in frames) == b"0 1 2 "


# The table.


def rows_of(seed: str) -> list[list[str]]:
    """Return the cells of the rows below a heading."""
    section = TABLE.partition(f"\n## {seed}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if re.match(r"\| \d+ \|", line)]
    return [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in lines]


@pytest.mark.parametrize("seed", ROWS)
def test_the_table_has_every_row_in_order(seed: str) -> None:
    rows = rows_of(seed)
    assert [row[0] for row in rows] == [str(number) for number in range(1, ROWS[seed] + 1)]
    assert [row for row in rows if len(row) != 4 or not all(row)] == []


def test_every_row_names_a_test() -> None:
    proof = re.compile(r"`[\w/]+(\.py::test_\w+|\.test\.mjs)`")
    rows = [row for seed in ROWS for row in rows_of(seed)]
    assert [row for row in rows if not proof.search(row[3])] == []


def test_every_test_that_the_table_names_is_there() -> None:
    named = set(re.findall(r"`([\w/]+\.py)::(\w+)`", TABLE))
    assert len(named) > 100
    assert [f"{path}::{name}" for path, name in sorted(named) if name not in defined_in(path)] == []


@cache
def defined_in(path: str) -> set[str]:
    """Return the names of the tests in a file."""
    file = ROOT / path if path.startswith("rooms/") else ROOT / "tests" / path
    return (
        set(re.findall(r"def (\w+)", file.read_text(encoding="utf-8"))) if file.exists() else set()
    )


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: str(page.name))
def test_every_place_that_is_named_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    files = re.findall(r"`((?:rooms|docs|scripts|web)/[\w/.-]+)`", text)
    links = re.findall(r"\]\(([^)#:]+)(?:#[\w-]*)?\)", text)
    places = (ROOT, ROOT / "tests")
    assert [name for name in files if not any((place / name).exists() for place in places)] == []
    assert [link for link in links if not (page.parent / link).exists()] == []
