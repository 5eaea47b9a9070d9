"""`rooms.server.admission`: who gets in."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from rooms.config import Settings
from rooms.errors import ConfigError
from rooms.protocol.http import BadHead
from rooms.protocol.proxy import Endpoint
from rooms.server import admission
from rooms.server.admission import LINGER_SECONDS, Admission, Visit
from rooms.server.counters import Counters
from rooms.server.descriptors import connections_for, descriptors
from rooms.server.refusals import Refusals

PROXY = Endpoint("10.0.0.1", 5000)


class Gate:
    """An admission, what it counts, and a queue of strangers with an address each."""

    def __init__(self, **settings: Any) -> None:
        self.counters = Counters()
        self.admission = Admission(Settings(**settings), Refusals(self.counters))
        self._strangers = 0

    def come(self, host: str = "") -> Visit:
        """Return the visit of somebody, refused or not."""
        self._strangers += 1
        host = host or f"203.0.113.{self._strangers}"
        visit = self.admission.arrive(Endpoint(host, 1000))
        assert isinstance(visit, Visit)
        return visit

    def refused(self, reason: str) -> int:
        """Return how many were refused for a reason."""
        return self.counters.get("refusals", reason)


async def test_connections_are_counted_until_they_are_closed() -> None:
    gate = Gate(connections=2)
    first, second = gate.come(), gate.come()
    gate.admission.opened(first)
    assert gate.admission.connections == 2
    third = gate.come()
    assert third.refusal is not None
    assert (third.refusal.status, third.refusal.reason) == (503, "connections")
    assert gate.admission.connections == 2
    for visit in (third, first):
        gate.admission.leave(visit)
    assert gate.admission.connections == 1
    assert gate.come().refusal is None
    assert second.refusal is None
    assert gate.refused("connections") == 1


async def test_the_limit_is_what_descriptors_allow_if_none_is_set() -> None:
    assert Gate().admission.limit == connections_for(descriptors())
    with capture_logs() as logs:
        assert Gate(connections=10**7).admission.limit == 10**7
    assert ["raise `ulimit -n`" in log["event"] for log in logs] == [True]


async def test_so_many_refused_clients_are_waited_for_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "LINGERING", 2)
    gate = Gate(connections=1)
    gate.come()
    lingering = [gate.come(), gate.come()]
    turned_away = gate.admission.arrive(Endpoint("203.0.113.200", 1))
    assert isinstance(turned_away, BadHead)
    assert gate.refused("connections") == 3
    gate.admission.leave(lingering[0])
    assert gate.come().refusal is not None


async def test_a_refused_client_has_a_moment_only(autojump_clock: MockClock) -> None:
    gate = Gate(connections=1, head_seconds=10)
    for visit, seconds in ((gate.come(), 10), (gate.come(), LINGER_SECONDS)):
        assert visit.scope is not None
        assert visit.scope.deadline == trio.current_time() + seconds


async def test_those_who_are_turned_away_are_not_asked_back_at_the_same_time() -> None:
    gate = Gate(connections=1)
    gate.come()
    refusals = [gate.come().refusal for _ in range(20)]
    assert len({refusal.retry_after for refusal in refusals if refusal is not None}) == 8


async def test_whoever_has_kept_us_waiting_longest_makes_way() -> None:
    gate = Gate(pending_handshakes=2)
    first, second, third = gate.come(), gate.come(), gate.come()
    assert first.refusal is not None
    assert (first.refusal.status, first.refusal.reason) == (503, "pending_handshakes")
    assert gate.refused("pending_handshakes") == 1
    gate.admission.opened(second)
    gate.come()
    assert (second.refusal, third.refusal) == (None, None)
    assert gate.admission.connections == 4


async def test_whoever_makes_way_is_interrupted() -> None:
    gate = Gate(pending_handshakes=1)
    visit = gate.come()
    assert visit.scope is not None
    with visit.scope:
        gate.come()
        await trio.sleep_forever()
    assert visit.refusal is not None


async def test_whoever_makes_way_may_not_have_begun() -> None:
    gate = Gate(pending_handshakes=1)
    visit = gate.come()
    gate.come()
    assert visit.scope is not None
    with visit.scope:
        await trio.sleep_forever()
    gate.admission.leave(visit)
    assert gate.admission.connections == 1


async def test_an_address_has_its_own_limit() -> None:
    gate = Gate(connections_per_address=1)
    first = gate.come("203.0.113.7")
    second = gate.come("203.0.113.7")
    assert second.refusal is not None
    assert (second.refusal.status, second.refusal.reason) == (429, "connections_per_address")
    assert gate.come("203.0.113.8").refusal is None
    gate.admission.leave(second)
    gate.admission.leave(first)
    assert gate.come("203.0.113.7").refusal is None


async def test_an_address_of_this_machine_has_none() -> None:
    gate = Gate(connections_per_address=1, handshakes_per_address=0.1)
    assert [gate.come(host).refusal for host in ("127.0.0.1", "::1") * 3] == [None] * 6


# Proxies.


async def test_a_trusted_proxy_has_no_limit_of_its_own_but_its_clients_have() -> None:
    gate = Gate(connections_per_address=1, trusted_proxies=("10.0.0.0/8",))
    visits = [gate.come(PROXY.host) for _ in range(3)]
    assert [visit.proxy for visit in visits] == [Endpoint("10.0.0.1", 1000)] * 3
    client = Endpoint("203.0.113.7", 4000)
    gate.admission.introduce(visits[0], client)
    assert (visits[0].remote, visits[0].proxy) == ("203.0.113.7:4000", None)
    with pytest.raises(BadHead) as caught:
        gate.admission.introduce(visits[1], client)
    assert caught.value.reason == "connections_per_address"
    gate.admission.leave(visits[0])
    gate.admission.introduce(visits[2], client)


async def test_a_proxy_may_speak_for_another_one() -> None:
    gate = Gate(connections_per_address=1, trusted_proxies=("10.0.0.0/8",))
    visit = gate.come(PROXY.host)
    seen = []
    for client in (Endpoint("10.0.0.2", 1), Endpoint("203.0.113.7")):
        gate.admission.introduce(visit, client)
        seen.append((visit.remote, visit.proxy))
    assert seen == [("10.0.0.2:1", Endpoint("10.0.0.2", 1)), ("203.0.113.7", None)]


async def test_a_stranger_is_no_proxy() -> None:
    assert Gate(trusted_proxies=("10.0.0.0/8",)).come("11.0.0.1").proxy is None
    assert Gate().come(PROXY.host).proxy is None


def test_a_trusted_proxy_that_is_no_address_is_told_in_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"trusted_proxies must be .*'10\.0\.0\.0/33'"):
        Gate(trusted_proxies=("10.0.0.0/33",))


async def test_new_settings_hold_for_whoever_comes() -> None:
    gate = Gate(connections=1)
    gate.come()
    gate.admission.configure(Settings(connections=2, trusted_proxies=("10.0.0.1",)))
    visit = gate.come(PROXY.host)
    assert (visit.refusal, visit.proxy) == (None, Endpoint("10.0.0.1", 1000))
    with pytest.raises(ConfigError):
        gate.admission.configure(Settings(connections=5, trusted_proxies=("nobody",)))
    assert gate.admission.limit == 2


async def test_a_connection_without_an_address_is_let_in() -> None:
    gate = Gate(connections=1)
    for _ in range(2):
        assert gate.admission.arrive_unlimited("memory").refusal is None
    assert gate.admission.connections == 2


async def test_a_flood_of_refusals_is_one_line_a_second(autojump_clock: MockClock) -> None:
    gate = Gate(connections=1)
    gate.come()
    with capture_logs() as logs:
        for _ in range(100):
            gate.admission.leave(gate.come())
    assert [(log["event"], log["reason"]) for log in logs] == [
        ("connection refused", "connections")
    ]
