"""`rooms.http.cors`: which pages of others may read what the API answers."""

from __future__ import annotations

import pytest
from quart import Response

from rooms.http.cors import WITH_COOKIES
from rooms.protocol.origin import Origins
from tests.http.fakes import TOKEN, FakeApp, site_client

PAGE = "https://app.example"


def asking(origin: str, method: str = "") -> dict[str, str]:
    headers = {"Origin": origin, "Authorization": f"Bearer {TOKEN}"}
    if method:
        headers["Access-Control-Request-Method"] = method
        del headers["Authorization"]  # browsers ask without it
    return headers


async def ask(headers: dict[str, str], path: str = "/api/info", *listed: str) -> Response:
    app = FakeApp()
    app.node.admission.cors = Origins(listed, subdomains=False)
    client = site_client(app)
    ask = client.options if "Access-Control-Request-Method" in headers else client.get
    return await ask(path, headers=headers)


def granted(answer: Response) -> set[str]:
    return {name for name, _ in answer.headers if name.startswith("Access-Control-")}


async def test_without_a_list_no_page_may_read() -> None:
    assert granted(await ask(asking(PAGE))) == set()
    assert granted(await ask(asking(PAGE, "POST"))) == set()
    assert "Vary" not in (await ask(asking(PAGE))).headers


async def test_a_listed_page_may_read() -> None:
    answer = await ask(asking(PAGE), "/api/info", PAGE)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert answer.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_a_listed_page_may_read_errors_too() -> None:
    answer = await ask({"Origin": PAGE}, "/api/info", PAGE)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (401, PAGE)


async def test_a_browser_that_asks_beforehand_is_answered_without_a_token() -> None:
    answer = await ask(asking(PAGE, "POST"), "/api/rooms/a/publish", PAGE)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert set(answer.headers["Vary"].split(", ")) == {
        "Origin",
        "Access-Control-Request-Method",
        "Access-Control-Request-Headers",
    }


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://app.example", "https://app.example.evil.example", "null", "*"],
)
@pytest.mark.parametrize("method", ["", "POST"])
async def test_no_other_page_may_read(origin: str, method: str) -> None:
    answer = await ask(asking(origin, method), "/api/info", PAGE)
    assert granted(answer) == set()
    assert "Origin" in answer.headers["Vary"]


async def test_the_cookies_of_the_application_are_for_tickets_only() -> None:
    [path] = WITH_COOKIES
    answer = await ask(asking(PAGE, "POST"), path, PAGE)
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE


async def test_pages_and_metrics_are_not_for_others() -> None:
    for path in ("/metrics", "/static/rooms.js"):
        assert granted(await ask(asking(PAGE), path, PAGE)) == set()
