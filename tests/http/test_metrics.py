"""`rooms.http.metrics`: what Prometheus gets to read, and who may."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import get_args

import httpx
import pytest
import trio
from msgspec.structs import replace
from prometheus_client import REGISTRY, Counter
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_plain
from quart import Response, typing

from rooms.config import MetricsAccess, Settings
from rooms.http.metrics import PREFIX, encoder
from rooms.http.site import create_site
from rooms.server.app import App
from rooms.server.counters import METRICS
from rooms.server.node import Node
from rooms.server.readings import READINGS
from rooms.serving import serve
from rooms.testing import TestClient, in_memory
from tests.http.fakes import TOKEN

BEARER = {"Authorization": f"Bearer {TOKEN}"}
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.9,text/plain;version=0.0.4;q=0.1"


@asynccontextmanager
async def running(access: MetricsAccess = "open") -> AsyncIterator[Node]:
    async with App().running(Settings(admin_token=TOKEN, metrics=access)) as node:
        yield node


def scraper(node: Node) -> typing.TestClientProtocol:
    return create_site(node.app, node.settings, web=Path(__file__).parent).test_client()


async def text_of(answer: Response) -> str:
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    text: str = await answer.get_data(as_text=True)
    return text


async def scrape(node: Node, accept: str = "") -> str:
    return await text_of(await scraper(node).get("/metrics", headers={"Accept": accept}))


def samples(text: str) -> dict[tuple[str, frozenset[str]], float]:
    """All samples, by name and labels' values."""
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in parse_plain(text)
        for sample in family.samples
    }


@contextmanager
def counter_of_an_application(name: str) -> Iterator[Counter]:
    counter = Counter(name, "What an application counts.")
    try:
        yield counter
    finally:
        REGISTRY.unregister(counter)


# Who may read.


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN])
async def test_the_token_is_asked_for(authorization: str) -> None:
    async with running("token") as node:
        headers = {"Authorization": authorization}
        answer = await scraper(node).get("/metrics", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="rooms"'
        assert "rooms_" not in await answer.get_data(as_text=True)


async def test_who_has_the_token_may_read() -> None:
    async with running("token") as node:
        answer = await scraper(node).get("/metrics", headers=BEARER)
        assert "rooms_clients 0.0" in await text_of(answer)


async def test_everybody_may_read_where_that_is_said() -> None:
    async with running() as node:
        assert "rooms_clients 0.0" in await scrape(node)


async def test_nobody_may_read_what_is_turned_off() -> None:
    async with running("off") as node:
        answer = await scraper(node).get("/metrics", headers=BEARER)
        assert answer.status_code == 404


def test_the_token_is_asked_for_unless_something_else_is_said() -> None:
    assert Settings().metrics == "token"


async def test_settings_that_change_while_the_server_runs_hold_at_once() -> None:
    async with running() as node:
        client = scraper(node)
        statuses = []
        for access in get_args(MetricsAccess):
            node.settings = replace(node.settings, metrics=access)
            statuses.append((access, (await client.get("/metrics")).status_code))
        assert statuses == [("token", 401), ("open", 200), ("off", 404)]


async def test_metrics_are_only_read() -> None:
    async with running() as node:
        client = scraper(node)
        for ask in (client.post, client.put, client.delete, client.options):
            answer = await ask("/metrics")
            assert answer.status_code == 405
            assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}


async def test_there_is_nothing_to_read_where_nothing_runs() -> None:
    site = create_site(App(), Settings(), web=Path(__file__).parent)
    assert (await site.test_client().get("/metrics")).status_code == 503


# In which format.


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        ("text/plain;version=0.0.4", PLAIN),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text; version=latest", PLAIN),
        ("application/openmetrics-text; version=0.0.1", PLAIN),
        ("text/plain; version=\xff", PLAIN),
        (",;=,;;==" * 500, PLAIN),
    ],
)
async def test_the_format_is_the_one_that_is_asked_for(accept: str, content_type: str) -> None:
    async with running() as node:
        answer = await scraper(node).get("/metrics", headers={"Accept": accept})
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith(content_type)


async def test_openmetrics_is_what_its_own_parser_takes() -> None:
    async with running() as node:
        node.counters.add("disconnects", "1000")
        text = await scrape(node, OPENMETRICS)
        families = {family.name for family in parse_openmetrics(text)}  # type: ignore[no-untyped-call]
        assert {f"{PREFIX}{name}" for name in (*METRICS, *READINGS)} <= families


def test_an_encoder_is_found_for_any_version() -> None:
    for version in ("", "1", "1.x", "x.1", "-1", "9" * 40, "1.0.0.0"):
        _, content_type = encoder(f"application/openmetrics-text;version={version}")
        assert content_type


# What is read.


async def test_every_metric_is_there_with_its_type_and_help() -> None:
    async with running() as node:
        text = await scrape(node)
        found = {family.name: family for family in parse_plain(text)}
        for name, metric in METRICS.items():
            family = found[PREFIX + name]
            assert (family.type, family.documentation) == ("counter", metric.help)
        for name, reading in READINGS.items():
            family = found[PREFIX + name]
            assert (family.type, family.documentation) == (reading.kind, reading.help)
            assert len(family.samples) == 1


async def test_counts_have_their_labels() -> None:
    async with running() as node:
        for name, metric in METRICS.items():
            node.counters.add(name, *metric.labels, amount=7)
        found = samples(await scrape(node))
        for name, metric in METRICS.items():
            assert found[f"{PREFIX}{name}_total", frozenset(metric.labels)] == 7


@pytest.mark.parametrize("code", ['a"b', "a\nb", "a\\b", 'a"} 1\nrooms_draining 1', "ä ☃"])
async def test_labels_are_escaped(code: str) -> None:
    async with running() as node:
        node.counters.add("request_errors", code)
        found = samples(await scrape(node))
        assert found["rooms_request_errors_total", frozenset({code})] == 1
        assert found["rooms_draining", frozenset()] == 0


async def test_the_process_and_what_runs_in_it_are_told() -> None:
    async with running() as node:
        text = await scrape(node)
        for name in ("process_resident_memory_bytes", "python_gc_collections", "rooms_build_info"):
            assert f"\n{name}" in text


async def test_what_an_application_counts_itself_comes_along() -> None:
    async with running() as node:
        with counter_of_an_application("cakes") as cakes:
            cakes.inc(3)
            assert samples(await scrape(node))["cakes_total", frozenset()] == 3


async def test_the_admin_api_tells_the_same_numbers() -> None:
    settings = Settings(admin_token=TOKEN, metrics="open")
    async with in_memory(App(), settings) as server:
        client = await server.connect()
        await client.join("a")
        await client.join("b")
        found = samples(await scrape(server.node))
        info = await (await scraper(server.node).get("/api/info", headers=BEARER)).get_json()
        assert found["rooms_clients", frozenset()] == info["clients"] == 1
        assert found["rooms_connections", frozenset()] == info["connections"] == 1
        assert found["rooms_open_rooms", frozenset()] == info["rooms"] == 2


async def test_no_name_of_a_room_or_client_gets_out() -> None:
    async with running() as node:
        node.open_room_nowait("secret/room")
        node.counters.add("disconnects", "1000")
        assert "secret" not in await scrape(node)


# A whole server.


async def chat(port: int, messages: int) -> None:
    """Join a room, say that many things, and leave."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        client = TestClient(stream)
        await client.handshake()
        await client.welcome()
        await client.join("lobby")
        for number in range(messages):
            await client.event("say", "lobby", number)
        await client.close()


async def test_a_server_under_load_is_scraped() -> None:
    app, settings = App(relay=True), Settings(port=0, admin_token=TOKEN)
    async with (
        serve(app, settings) as server,
        httpx.AsyncClient(base_url=server.url, headers=BEARER) as http,
    ):
        seen = [0.0]
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(chat, server.port, 40)
                for _ in range(10):
                    found = samples((await http.get("/metrics")).text)
                    seen.append(found["rooms_messages_received_total", frozenset()])
            await server.node.idle()
        assert seen == sorted(seen)
        found = samples((await http.get("/metrics")).text)
        assert found["rooms_messages_received_total", frozenset()] == 5 * 41
        assert found["rooms_connects_total", frozenset()] == 5
        assert found["rooms_disconnects_total", frozenset({"1000"})] == 5


async def test_the_head_of_the_answer_can_be_had_alone() -> None:
    async with (
        serve(App(), Settings(port=0, metrics="open")) as server,
        httpx.AsyncClient(base_url=server.url) as http,
    ):
        for _ in range(2):
            answer = await http.head("/metrics")
            assert (answer.status_code, answer.content) == (200, b"")
        assert (await http.get("/metrics")).headers["Content-Type"] == PLAIN
