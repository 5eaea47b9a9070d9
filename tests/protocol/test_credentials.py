"""`rooms.protocol.credentials`: tokens, tickets and cookies, and a request without them."""

from __future__ import annotations

import pytest

from rooms.protocol.bus import TakeTicket
from rooms.protocol.commands import Auth, Join
from rooms.protocol.credentials import find_token, parse_cookies, split_ticket, without_secrets
from rooms.protocol.http import parse_head
from rooms.transports.base import Handshake

# "ä?>" in base64url, which has both of the letters that base64 spells differently elsewhere.
ODD = "w6Q_Pg"


@pytest.mark.parametrize(
    ("headers", "offered", "found"),
    [
        ({}, (), None),
        ({"authorization": "Bearer abc"}, (), ("abc", "header")),
        ({"authorization": " BEARER  abc "}, (), ("abc", "header")),
        ({"authorization": "Basic abc"}, (), None),
        ({"authorization": "Bearer"}, (), ("", "header")),
        ({}, ("rooms.v1.json", f"rooms.token.{ODD}"), ("ä?>", "subprotocol")),
        ({}, (f"rooms.token.{ODD}==",), ("ä?>", "subprotocol")),
        ({}, ("rooms.v1.json",), None),
        ({"authorization": "Bearer abc"}, (f"rooms.token.{ODD}",), ("abc", "header")),
    ],
)
def test_a_token_is_found(
    headers: dict[str, str], offered: tuple[str, ...], found: tuple[str, str] | None
) -> None:
    assert find_token(headers, offered) == found


@pytest.mark.parametrize("text", ["A", "a+b/", "%%%", "_w", "w6Q é"])
def test_what_is_not_base64url_is_no_token(text: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        find_token({}, (f"rooms.token.{text}",))


@pytest.mark.parametrize(
    ("query", "ticket", "rest"),
    [
        ("", None, ""),
        ("a=1&b", None, "a=1&b"),
        ("ticket=x%2Dy", "x-y", ""),
        ("a=1&ticket=t&b=2", "t", "a=1&b=2"),
        ("ticket=t&%74icket=u&a", "t", "a"),
        ("ticket", "", ""),
        ("tickets=1", None, "tickets=1"),
    ],
)
def test_a_ticket_is_taken_out_of_a_query(query: str, ticket: str | None, rest: str) -> None:
    assert split_ticket(query) == (ticket, rest)


def test_very_many_tickets_take_no_more_than_one_look_at_each() -> None:
    query = "&".join(f"ticket={number}" for number in range(200_000))  # hours, if compared
    assert split_ticket(query) == ("0", "")


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        ("", {}),
        ("a=1; b=2", {"a": "1", "b": "2"}),
        ('a="1"; broken; =2', {"a": "1", "": "2"}),
        ("a=1; a=2", {"a": "1"}),
        ("a=b=c", {"a": "b=c"}),
    ],
)
def test_cookies_are_parsed(header: str, cookies: dict[str, str]) -> None:
    assert parse_cookies({"cookie": header} if header else {}) == cookies


def test_a_head_without_its_secrets_keeps_the_rest() -> None:
    raw = (
        "GET /ws?a=1&ticket=s3cret HTTP/1.1\r\nHost: here\r\nAUTHORIZATION: Bearer s3cret\r\n"
        f"Sec-WebSocket-Protocol: rooms.v1.json, rooms.token.{ODD}, other\r\n"
        "Cookie: mine=1\r\nAuthorization: Basic s3cret\r\n\r\n"
    ).encode()
    head = without_secrets(parse_head(raw))
    assert head.query == "a=1"
    assert head.subprotocols == ("rooms.v1.json", "other")
    assert head.headers == {
        "host": "here",
        "sec-websocket-protocol": "rooms.v1.json, other",
        "cookie": "mine=1",
    }
    assert b"s3cret" not in head.raw
    assert ODD.encode() not in head.raw
    again = parse_head(head.raw)
    assert (again.query, again.subprotocols) == (head.query, head.subprotocols)
    assert again.headers["cookie"] == "mine=1"


def test_a_head_without_secrets_stays_as_it_was() -> None:
    raw = b"GET /ws?a=1 HTTP/1.1\r\nHost: here\r\nCookie: mine=1\r\n\r\n"
    assert without_secrets(parse_head(raw)) == parse_head(raw)


def test_nothing_that_holds_a_secret_shows_it() -> None:
    raw = (
        b"GET /ws?ticket=s3cret HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer s3cret\r\n"
        b"Cookie: session=s3cret\r\n\r\n"
    )
    head = parse_head(raw)
    for each in (
        head,
        Handshake(head.path, head.query, head.raw, (), "peer"),
        Auth(token="s3cret", name="Ana", secret="s3cret"),
        Join(room="lobby", token="s3cret"),
        TakeTicket("s3cret"),
    ):
        assert "s3cret" not in repr(each)
    assert repr(Auth(name="Ana")) == "Auth(id=None, token='', name='Ana', secret='')"
