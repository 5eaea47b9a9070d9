"""Pages of strangers: what a browser lets them try, over real sockets."""

from __future__ import annotations

import msgspec
import pytest
from structlog.testing import capture_logs

from rooms.testing import Refused, TestClient
from tests.server.hostile.ground import Ground, ground

COOKIE = "Cookie: session=of-a-user-who-is-signed-in\r\n"


async def refusal(place: Ground, headers: str) -> Refused:
    """Return how a WebSocket with these headers is refused."""
    with pytest.raises(Refused) as caught:
        await TestClient(await place.open_stream()).handshake(headers=headers)
    return caught.value


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://rooms.test.evil.example",
        "http://evilrooms.test",
        "http://rooms.test:8000",
        "http://rooms.test@evil.example",
        "HTTP://EVIL.EXAMPLE",
        "https://example.org",
        "https://evilexample.org",
        "https://a.example.org.evil.example",
        "http://a.example.org",
        "rooms.test",
        "*",
    ],
)
async def test_a_strangers_page_is_refused_whatever_cookies_it_brings(origin: str) -> None:
    async with ground(origins=("https://*.example.org",)) as place:
        with capture_logs() as logs:
            refused = await refusal(place, f"Origin: {origin}\r\n{COOKIE}")
        assert refused.status == 403
        assert place.connected == {}
    head, _, body = refused.answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/json" in head
    assert msgspec.json.decode(body)["error"]["code"] == "origin"
    [warning] = [log for log in logs if log["log_level"] == "warning"]
    assert "`origins`" in warning["event"]


@pytest.mark.parametrize(
    "origin",
    [
        "http://rooms.test",
        "HTTP://Rooms.Test",
        "https://rooms.test",
        "http://rooms.test:80",
        "https://a.example.org",
        "https://A.B.EXAMPLE.org:443",
    ],
)
async def test_our_own_pages_and_those_that_are_listed_get_in(origin: str) -> None:
    async with ground(origins=("https://*.example.org",)) as place:
        await place.connect(headers=f"Origin: {origin}\r\n")


async def test_pages_without_an_origin_get_in_by_that_word() -> None:
    async with ground(origins=("null",)) as place:
        await place.connect(headers="Origin: null\r\n")


async def test_two_origins_are_none() -> None:
    async with ground(origins=("https://a.example", "https://b.example")) as place:
        twice = "Origin: https://a.example\r\nOrigin: https://b.example\r\n"
        assert (await refusal(place, twice)).status == 403


async def test_whoever_sends_no_origin_gets_in() -> None:
    async with ground() as place:
        await place.connect()


async def test_whoever_sends_no_origin_is_refused_where_one_is_required() -> None:
    async with ground() as place:
        settings = place.server.settings
        place.server.reload(msgspec.structs.replace(settings, origin_required=True))
        with capture_logs() as logs:
            assert (await refusal(place, "")).status == 403
        await place.connect(headers="Origin: http://rooms.test\r\n")
        place.server.reload(settings)
    assert any("`origin_required`" in log["event"] for log in logs)


FORWARDED = "X-Forwarded-Host: chat.example\r\nX-Forwarded-Proto: https\r\n"


async def test_what_a_trusted_proxy_was_asked_for_is_our_origin() -> None:
    async with ground(trusted_proxies=("127.0.0.1",)) as place:
        await place.connect(headers=f"{FORWARDED}Origin: https://chat.example\r\n")
        for stranger in ("http://chat.example", "https://rooms.test", "https://evil.example"):
            assert (await refusal(place, f"{FORWARDED}Origin: {stranger}\r\n")).status == 403


async def test_nobody_else_says_what_our_origin_is() -> None:
    async with ground() as place:
        refused = await refusal(place, f"{FORWARDED}Origin: https://chat.example\r\n")
        assert refused.status == 403
