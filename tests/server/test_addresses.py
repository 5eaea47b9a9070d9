"""`rooms.server.addresses`: what each address has of the server."""

from __future__ import annotations

from typing import Any

import pytest

from rooms.config import Settings
from rooms.protocol.http import BadHead
from rooms.server import addresses
from rooms.server.addresses import BURST_SECONDS, Account, Addresses, account_name

HOST = "203.0.113.7"


def settings(**chosen: Any) -> Settings:
    """Return settings in which only what is chosen is limited."""
    return Settings(**{"connections_per_address": 0, "handshakes_per_address": 0, **chosen})


def charge(book: Addresses, host: str, limits: Settings, now: float = 0.0) -> Account:
    """Let one connection of an address in that is counted."""
    account = book.charge(host, limits, now)
    assert account is not None
    return account


def refusal(book: Addresses, host: str, limits: Settings, now: float = 0.0) -> BadHead:
    """Return why no connection of an address is let in."""
    with pytest.raises(BadHead) as caught:
        book.charge(host, limits, now)
    return caught.value


def test_an_address_has_so_many_connections_and_gets_another_when_one_has_ended() -> None:
    book, limits = Addresses(), settings(connections_per_address=2)
    first, second = charge(book, HOST, limits), charge(book, HOST, limits)
    assert first is second
    refused = refusal(book, HOST, limits)
    assert (refused.status, refused.reason) == (429, "connections_per_address")
    assert refused.retry_after is not None
    assert charge(book, "203.0.113.8", limits).connections == 1
    book.release(first)
    assert charge(book, HOST, limits).connections == 2


def test_zero_sets_no_limit() -> None:
    book = Addresses()
    for _ in range(2000):
        account = charge(book, HOST, settings())
    assert account.connections == 2000


def test_handshakes_may_come_at_once_for_some_seconds_and_then_at_their_rate() -> None:
    book, limits = Addresses(), settings(handshakes_per_address=2)
    for _ in range(int(2 * BURST_SECONDS)):
        book.release(charge(book, HOST, limits))
    refused = refusal(book, HOST, limits)
    assert (refused.status, refused.reason) == (429, "handshakes_per_address")
    assert refused.retry_after == 1
    charge(book, "203.0.113.8", limits)
    charge(book, HOST, limits, now=0.6)
    refusal(book, HOST, limits, now=0.6)


def test_a_slow_rate_says_how_long_to_wait() -> None:
    book, limits = Addresses(), settings(handshakes_per_address=0.1)
    charge(book, HOST, limits)
    assert refusal(book, HOST, limits, now=4).retry_after in (6, 7)
    charge(book, HOST, limits, now=11)


def test_new_limits_hold_at_once() -> None:
    book = Addresses()
    charge(book, HOST, settings(handshakes_per_address=0.1))
    charge(book, HOST, settings(handshakes_per_address=1))
    refusal(book, HOST, settings(connections_per_address=2))


def test_those_who_left_are_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "REMEMBERED", 3)
    book, limits = Addresses(), settings(handshakes_per_address=0.1)
    stays = charge(book, "198.51.100.1", limits)
    for number in range(5):
        book.release(charge(book, f"203.0.113.{number}", limits))
    refusal(book, "203.0.113.4", limits)
    charge(book, "203.0.113.0", limits)
    assert charge(book, "198.51.100.1", limits, now=20) is stays


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", None),
        ("127.1.2.3", None),
        ("::1", None),
        ("memory", None),
    ],
)
def test_an_address_of_ipv6_is_counted_by_its_network_and_this_machine_not_at_all(
    host: str, name: str | None
) -> None:
    assert account_name(host) == name
    assert (Addresses().charge(host, settings(), 0.0) is None) == (name is None)
