"""The dialects whose clients are in a room by the path."""

import json

import pytest

from rooms.bench.dialects import Fdw, Tranzit, Zaptools
from rooms.bench.errors import Refused
from rooms.bench.plan import make_plan
from rooms.bench.wire import READY, WireProtocol

ROOMS = make_plan("rooms")
STORM = make_plan("storm")
REQUEST = make_plan("echo", request=True)


@pytest.mark.parametrize("protocol", [Zaptools, Fdw, Tranzit])
def test_a_client_is_in_its_room_when_it_is_connected(protocol: type[WireProtocol]) -> None:
    assert "r3" in protocol(ROOMS).path(3)
    assert "r3" not in protocol(STORM).path(3)
    assert protocol(ROOMS).advance(3, None) == READY


@pytest.mark.parametrize(
    ("protocol", "error"),
    [
        (Zaptools, b'{"eventName":"error","payload":{"code":"forbidden"},"headers":{}}'),
        (Fdw, b'{"error":"forbidden"}'),
        (Tranzit, b"error|,forbidden,no entry"),
    ],
)
def test_an_error_says_what_the_server_said(protocol: type[WireProtocol], error: bytes) -> None:
    with pytest.raises(Refused, match=r"the server answered .*forbidden"):
        protocol(ROOMS).answer(error)
    assert protocol(ROOMS).answer(b"hello") is None


def test_a_zaptools_client_sends_an_event() -> None:
    assert json.loads(Zaptools(ROOMS).publication(3, b'{"a":1}', b"")) == {
        "eventName": "bench",
        "payload": {"a": 1},
        "headers": {},
    }
    assert json.loads(Zaptools(REQUEST).publication(3, b"1", b""))["eventName"] == "echo"


def test_an_fdw_client_sends_an_object_to_its_topic() -> None:
    assert json.loads(Fdw(ROOMS).publication(3, b'{"a":1}', b"")) == {
        "type": "send",
        "topic": "r3",
        "a": 1,
    }


def test_every_fdw_client_has_an_id_of_its_own() -> None:
    fdw = Fdw(ROOMS)
    assert fdw.path(3) != fdw.path(3)


def test_a_tranzit_client_sends_json_behind_the_bar() -> None:
    assert Tranzit(ROOMS).publication(3, b'{"a":1}', b"") == b'bench|{"a":1}'
    assert Tranzit(REQUEST).publication(3, b"{}", b"") == b"echo|{}"
