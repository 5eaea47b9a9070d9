"""`rooms.protocol.handshake`: which requests become WebSockets, and how they are told."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import ConnectionType
from wsproto.events import AcceptConnection, Request
from wsproto.handshake import H11Handshake
from wsproto.utilities import RemoteProtocolError

from rooms.protocol.handshake import accept_answer, accept_key
from rooms.protocol.http import BadHead, parse_head

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
LINES = {
    "Host": "rooms.test",
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def request(start: str = "GET /ws HTTP/1.1", **changed: str | None) -> bytes:
    """A good request but for what is changed; None leaves a header out."""
    lines = LINES | {name.replace("_", "-"): value for name, value in changed.items()}
    headers = [f"{name}: {value}" for name, value in lines.items() if value is not None]
    return "\r\n".join([start, *headers, "", ""]).encode("latin-1")


def answer(raw: bytes, subprotocol: str | None = None) -> bytes:
    return accept_answer(parse_head(raw), subprotocol)


def status_of(raw: bytes) -> HTTPStatus | None:
    with pytest.raises(BadHead) as caught:
        answer(raw)
    return caught.value.status


def test_the_key_is_proved_as_in_the_rfc() -> None:
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_good_request_is_accepted() -> None:
    assert answer(request()) == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"\r\n"
    )


def test_the_subprotocol_is_told() -> None:
    told = answer(request(), "rooms.v1.json")
    assert b"\r\nSec-WebSocket-Protocol: rooms.v1.json\r\n\r\n" in told


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"start": "POST /ws HTTP/1.1"}, 400),
        ({"start": "get /ws HTTP/1.1"}, 400),
        ({"Connection": None}, 400),
        ({"Connection": "keep-alive"}, 400),
        ({"Sec_WebSocket_Version": None}, 400),
        ({"Sec_WebSocket_Version": "12"}, 426),
        ({"Sec_WebSocket_Version": "13, 8"}, 426),
        ({"Sec_WebSocket_Key": None}, 400),
        ({"Sec_WebSocket_Key": ""}, 400),
        ({"Sec_WebSocket_Key": "c2hvcnQ="}, 400),
        ({"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ"}, 400),
        ({"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==\xe9"}, 400),
        (
            {"Sec_WebSocket_Key": LINES["Sec-WebSocket-Key"] + ", " + LINES["Sec-WebSocket-Key"]},
            400,
        ),
        ({"Host": None}, 400),
    ],
)
def test_an_incomplete_request_is_refused(changed: dict[str, str | None], status: int) -> None:
    assert status_of(request(**changed)) == status  # type: ignore[arg-type]


def test_two_hosts_are_one_too_many() -> None:
    assert status_of(request().replace(b"Host: ", b"Host: evil.test\r\nHost: ")) == 400


def test_a_list_may_come_in_several_lines() -> None:
    raw = request(Connection="keep-alive\r\nConnection: Upgrade")
    assert answer(raw).startswith(b"HTTP/1.1 101 ")


TEXTS = ["", "13", "8", "websocket", "WebSocket", "Upgrade", "keep-alive, upgrade", "close"]
VALUES = st.sampled_from([None, *TEXTS, KEY, "c2hvcnQ=", "%%%", "rooms.test"])


@given(st.dictionaries(st.sampled_from([name for name in LINES if name != "Host"]), VALUES))
def test_what_is_accepted_is_what_wsproto_accepts(changed: dict[str, str | None]) -> None:
    """But for the size of the key, at which wsproto does not look."""
    lines = LINES | changed
    raw = request(**{name.replace("-", "_"): value for name, value in lines.items()})  # type: ignore[arg-type]
    try:
        head = parse_head(raw)
        ours = accept_answer(head, None) if head.is_websocket else None
    except BadHead:
        ours = None
    theirs = _wsproto_answer(raw)
    if ours is not None:
        assert theirs is not None
        assert _accept_line(ours) == _accept_line(theirs)
    elif theirs is not None:
        assert lines["Sec-WebSocket-Key"] != KEY


def _wsproto_answer(raw: bytes) -> bytes | None:
    oracle = H11Handshake(ConnectionType.SERVER)
    try:
        oracle.receive_data(raw)
        event = next(iter(oracle.events()), None)
        assert isinstance(event, Request | None)
        return None if event is None else oracle.send(AcceptConnection())
    except RemoteProtocolError:
        return None


def _accept_line(head: bytes) -> bytes:
    lines = [line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-acc")]
    return lines[0].split(b":")[1].strip()
