"""Where the load may go."""

import pytest

from rooms.bench.errors import BenchError
from rooms.bench.target import Target, resolve


def test_a_url_gives_address_port_and_path() -> None:
    target = resolve("ws://127.0.0.1:8123/ws")
    assert (target.address, target.port, target.path) == ("127.0.0.1", 8123, "/ws")
    assert target.loopback
    assert not target.tls


def test_the_port_follows_from_the_scheme() -> None:
    assert resolve("ws://127.0.0.1/").port == 80
    assert resolve("wss://127.0.0.1/").port == 443
    assert resolve("wss://127.0.0.1/").tls


def test_an_ipv6_address_is_in_brackets_in_the_host_header() -> None:
    target = resolve("ws://[::1]:9000/ws")
    assert target.ipv6
    assert target.authority == "[::1]:9000"


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "127.0.0.1:8000", "ws://", "ws:///ws"])
def test_what_is_no_websocket_url_is_refused(url: str) -> None:
    with pytest.raises(BenchError, match="is not a WebSocket URL"):
        resolve(url)


def test_an_impossible_port_is_refused() -> None:
    with pytest.raises(BenchError, match="cannot be resolved"):
        resolve("ws://127.0.0.1:99999/ws")


def test_another_machine_is_refused_unless_that_is_wanted() -> None:
    with pytest.raises(BenchError, match=r"another machine.*--remote"):
        resolve("ws://192.0.2.1/ws")
    assert resolve("ws://192.0.2.1/ws", remote=True).address == "192.0.2.1"


def test_the_address_decides_what_is_another_machine() -> None:
    assert not Target("", "localhost", "192.0.2.1", 80, "", False).loopback


def test_clients_go_to_all_nodes_one_by_one() -> None:
    target = Target("", "localhost", "127.0.0.1", 80, "", False, (81, 82))
    assert [target.port_of(turn) for turn in range(4)] == [80, 81, 82, 80]
    assert {resolve("ws://127.0.0.1:9000/").port_of(turn) for turn in range(4)} == {9000}
