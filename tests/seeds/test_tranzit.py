"""What made a server with tranzit fail, tried here."""

from __future__ import annotations

import re
from pathlib import Path

from trio.testing import MockClock

import rooms
from rooms import App, Settings
from rooms.testing import client_frame, in_memory
from tests.seeds.talk import connect, hear, say

PACKAGE = Path(rooms.__file__).parent
OPENS = re.compile(
    r"open_tcp_stream|open_ssl_over_tcp|open_unix_socket|create_connection|open_connection"
    r"|urlopen|urllib\.request|http\.client|import httpx|import requests|aiohttp"
)
TOOLS = {"bench", "testing"}
WHERE_TO_IS_SAID_BY_THE_OPERATOR = {
    "brokers/embedded.py",
    "brokers/redis_connection.py",
    "server/tokens/fetch.py",
    "transports/client.py",  # of the gateway
}


def tranzit_app() -> App:
    app = App(dialects=["tranzit"])
    app.on("length")(lambda ctx: [str(len(ctx.payload[0]))])
    return app


async def test_large_and_many_messages_arrive_whole_and_in_order(
    autojump_clock: MockClock,
) -> None:
    settings = Settings(message_bytes=300_000, rate_messages=0, rate_bytes=0)
    async with in_memory(tranzit_app(), settings) as server:
        client = await connect(server, "/tranzit")
        await say(client, "length|" + "x" * 200_000)
        assert await hear(client) == "length|200000"
        await client.send_raw(
            b"".join(client_frame("length|" + "x" * (4000 + n)) for n in range(200))
        )
        assert [await hear(client) for _ in range(200)] == [
            f"length|{4000 + n}" for n in range(200)
        ]


async def test_a_connection_may_last_longer_than_an_hour(autojump_clock: MockClock) -> None:
    async with in_memory(tranzit_app(), Settings(ping_seconds=100_000)) as server:
        client = await connect(server, "/tranzit")
        autojump_clock.jump(90_000)
        await say(client, "length|abc")
        assert await hear(client) == "length|3"


async def test_no_event_opens_a_file_or_a_url(autojump_clock: MockClock) -> None:
    async with in_memory(tranzit_app()) as server:
        client = await connect(server, "/tranzit")
        await say(client, "get_page|file:///etc/hostname")
        assert (await hear(client)).startswith("error|get_page,unknown_event,")


def test_nothing_that_connects_elsewhere_is_in_reach_of_clients() -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path, source in sources.items()
        if OPENS.search(source) and path.relative_to(PACKAGE).parts[0] not in TOOLS
    }
    assert found == WHERE_TO_IS_SAID_BY_THE_OPERATOR
