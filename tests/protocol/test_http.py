"""`rooms.protocol.http`: the head of a request."""

from __future__ import annotations

import contextlib
from http import HTTPStatus

import h11
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.protocol.http import END_OF_HEAD, BadHead, RequestHead, check_start, parse_head, response

UPGRADE = (
    b"GET /ws?room=lobby HTTP/1.1\r\n"
    b"Host: example.org\r\n"
    b"Connection: keep-alive, Upgrade\r\n"
    b"Upgrade: WebSocket\r\n"
    b"Sec-WebSocket-Protocol: rooms.v2, rooms.v1.json ,\r\n"
    b"\r\n"
)


def head(*lines: str, start: str = "GET / HTTP/1.1") -> RequestHead:
    return parse_head("\r\n".join([start, *lines]).encode("latin-1") + END_OF_HEAD)


def status_of(raw: bytes) -> HTTPStatus | None:
    with pytest.raises(BadHead) as caught:
        parse_head(raw)
    return caught.value.status


# What is read.


def test_a_request_for_a_websocket_is_understood() -> None:
    request = parse_head(UPGRADE)
    assert (request.method, request.path, request.query) == ("GET", "/ws", "room=lobby")
    assert request.headers["host"] == "example.org"
    assert request.is_websocket
    assert not request.has_body
    assert request.subprotocols == ("rooms.v2", "rooms.v1.json")
    assert request.raw == UPGRADE


def test_a_request_for_a_page_is_no_request_for_a_websocket() -> None:
    request = head("Host: example.org")
    assert not request.is_websocket
    assert request.subprotocols == ()
    assert request.query == ""


def test_a_request_without_headers_is_understood() -> None:
    assert head(start="GET /a HTTP/1.0").path == "/a"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a%20b", "/a b", ""),
        ("/%C5%BE", "/ž", ""),
        ("/a?b?c=%20", "/a", "b?c=%20"),
        ("/%3F", "/?", ""),
        ("/%ff", "/\ufffd", ""),
        ("*", "*", ""),
    ],
)
def test_the_path_is_decoded_and_the_query_is_not(target: str, path: str, query: str) -> None:
    request = head(start=f"GET {target} HTTP/1.1")
    assert (request.path, request.query) == (path, query)


def test_a_header_that_comes_twice_is_one_list() -> None:
    assert head("A: 1", "a:2").headers == {"a": "1, 2"}


def test_nothing_is_upgraded_in_the_old_http() -> None:
    lines = ("Host: a", "Connection: Upgrade", "Upgrade: websocket")
    assert head(*lines).is_websocket
    assert not head(*lines, start="GET / HTTP/1.0").is_websocket


@pytest.mark.parametrize("value", ["websocket", "h2c, WebSocket", " websocket "])
def test_an_upgrade_to_websocket_is_found_among_others(value: str) -> None:
    assert head(f"Upgrade: {value}").is_websocket


@pytest.mark.parametrize("value", ["h2c", "websockets", "", "web socket"])
def test_an_upgrade_to_something_else_is_none(value: str) -> None:
    assert not head(f"Upgrade: {value}").is_websocket


@pytest.mark.parametrize("line", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_a_body_is_announced_by_its_length_or_its_encoding(line: str) -> None:
    assert head(line).has_body
    assert not head("Content-Length: 0").has_body


# What is refused.


def test_more_headers_than_there_may_be_are_refused() -> None:
    assert len(head(*[f"A{n}: b" for n in range(128)]).headers) == 128
    assert status_of(b"GET / HTTP/1.1" + b"\r\nA: b" * 129 + END_OF_HEAD) == 431
    with pytest.raises(BadHead):
        parse_head(b"GET / HTTP/1.1\r\nA: b\r\nB: c\r\n\r\n", headers=1)


def test_more_subprotocols_than_any_client_speaks_are_refused() -> None:
    offer = b"GET / HTTP/1.1\r\nSec-WebSocket-Protocol: "
    assert len(parse_head(offer + b"a," * 32 + END_OF_HEAD).subprotocols) == 32
    assert status_of(offer + b"a," * 33 + END_OF_HEAD) == 431


@pytest.mark.parametrize(
    "start",
    [
        "",
        "GET",
        "GET /",
        "GET  / HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/2.0",
        "GET / SPDY/1",
        "GET / b HTTP/1.1",
    ],
)
def test_a_bad_request_line_is_refused(start: str) -> None:
    assert status_of(start.encode() + END_OF_HEAD) == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(
    "line",
    [
        "no colon",
        ": no name",
        "Upgrade : websocket",  # RFC 9112, section 5.1: no space before the colon
        " folded: line",
        "X: a\nUpgrade: h2c",
        "X: a\rUpgrade: h2c",
        "X: a\0b",
    ],
)
def test_a_bad_header_is_refused(line: str) -> None:
    raw = b"GET / HTTP/1.1\r\n" + line.encode() + END_OF_HEAD
    assert status_of(raw) == HTTPStatus.BAD_REQUEST


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_refused(raw: bytes) -> None:
    with contextlib.suppress(BadHead):
        parse_head(b"GET / HTTP/1.1\r\n" + raw + END_OF_HEAD)


header_text = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
header_names = st.sampled_from(["Upgrade", "Connection", "Host", "X-A", "Origin", "HTTP2-Settings"])
line_ends = st.sampled_from(["\r\n", "\r\n", "\r\n", "\n"])


@given(st.lists(st.tuples(header_names, header_text, line_ends), max_size=6))
def test_whoever_reads_the_head_after_us_sees_the_same_headers(
    lines: list[tuple[str, str, str]],
) -> None:
    text = "".join(f"{name}: {value}{end}" for name, value, end in [("Host", "a", "\r\n"), *lines])
    raw = b"GET / HTTP/1.1\r\n" + text.encode() + b"X-Last: 1" + END_OF_HEAD
    try:
        ours = parse_head(raw)
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(raw)
        theirs = connection.next_event()
    except (BadHead, h11.RemoteProtocolError):
        return
    assert isinstance(theirs, h11.Request)
    joined: dict[str, list[str]] = {}
    for name, value in theirs.headers:
        joined.setdefault(name.decode(), []).append(value.decode())
    assert ours.headers == {name: ", ".join(values) for name, values in joined.items()}


# What is seen in the first bytes.


@pytest.mark.parametrize("data", [b"G", b"GET", b"GET /", b"M-SEARCH * HTTP/1.1", UPGRADE])
def test_what_may_become_a_request_is_read_on(data: bytes) -> None:
    check_start(data)


@pytest.mark.parametrize("data", [b"\x16\x03\x01", b"get /", b"\0", b"\r\n", b"SSH-2.0", b"G\xff"])
def test_what_cannot_become_a_request_gets_no_answer(data: bytes) -> None:
    with pytest.raises(BadHead) as caught:
        check_start(data)
    assert caught.value.status is None


def test_http_2_with_prior_knowledge_is_refused_by_name() -> None:
    with pytest.raises(BadHead) as caught:
        check_start(b"PRI * HTTP/2.0\r\n")
    assert caught.value.status == HTTPStatus.HTTP_VERSION_NOT_SUPPORTED


# What is passed on, and what is answered.


def test_an_offer_to_speak_something_else_is_taken_out_and_nothing_more() -> None:
    request = head("Host: a", "Upgrade: h2c", "HTTP2-Settings: AAA", "Upgraded: yes")
    assert request.without_upgrade() == b"GET / HTTP/1.1\r\nHost: a\r\nUpgraded: yes\r\n\r\n"


def test_a_head_without_such_an_offer_is_passed_on_as_it_came() -> None:
    request = head("Host: a", "accept:*/*")
    assert request.without_upgrade() == request.raw


@pytest.mark.parametrize(
    ("refusal", "status", "error"),
    [
        (BadHead(HTTPStatus.NOT_FOUND), 404, {"code": "not_found", "message": "Not Found."}),
        (
            BadHead(HTTPStatus.TOO_MANY_REQUESTS, "overload", 3),
            429,
            {"code": "overload", "message": "Too Many Requests. Try again in 3 seconds."},
        ),
        (
            BadHead(HTTPStatus.BAD_REQUEST, "x", message="Žádost."),
            400,
            {"code": "x", "message": "Žádost."},
        ),
    ],
)
def test_an_answer_is_whole_and_ends_the_connection(
    refusal: BadHead, status: int, error: dict[str, str]
) -> None:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(response(refusal))
    got, data = client.next_event(), client.next_event()
    assert isinstance(got, h11.Response)
    assert isinstance(data, h11.Data)
    assert (got.status_code, msgspec.json.decode(data.data)) == (status, {"error": error})
    assert dict(got.headers)[b"x-content-type-options"] == b"nosniff"
    client.next_event()
    assert client.their_state is h11.MUST_CLOSE


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.banana\r\n\r\n",
        b"GET / HTTP/1.\r\n\r\n",
        b"GET / HTTP/1.1\r\na b: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nho(st: 1\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(raw: bytes) -> None:
    assert status_of(raw) == 400
