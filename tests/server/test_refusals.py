"""`rooms.server.refusals`: everybody who was not let in is counted, and few are logged."""

from __future__ import annotations

from http import HTTPStatus

import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from rooms.protocol.http import BadHead
from rooms.server.counters import Counters
from rooms.server.refusals import ADVICE, Refusals, SeldomLog


async def test_a_topic_has_one_turn_a_second(autojump_clock: MockClock) -> None:
    log = SeldomLog()
    assert [log.turn("a") for _ in range(3)] == [0, None, None]
    assert log.turn("b") == 0
    await trio.sleep(1)
    assert log.turn("a") == 2
    assert log.turn("a") is None


async def test_every_refusal_is_counted_by_its_reason() -> None:
    counters = Counters()
    refusals = Refusals(counters)
    for status in (HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND, None):
        refusals.note(BadHead(status), "198.51.100.1:1")
    assert counters.get("refusals", "not_found") == 2
    assert counters.get("refusals", "no_http") == 1


async def test_limits_are_logged_with_what_to_do_and_once_a_second(
    autojump_clock: MockClock,
) -> None:
    refusals = Refusals(Counters())
    with capture_logs() as logs:
        for _ in range(2):
            for reason in (*ADVICE, "not_found"):
                for _ in range(10):
                    refusals.note(BadHead(HTTPStatus.SERVICE_UNAVAILABLE, reason), "remote")
            await trio.sleep(1)
    warnings = [log for log in logs if log["log_level"] == "warning"]
    assert [log["reason"] for log in warnings] == list(ADVICE) * 2
    assert [log["unsaid"] for log in warnings] == [0] * len(ADVICE) + [9] * len(ADVICE)
    assert all(log["advice"] for log in warnings)


async def test_a_flood_of_wrong_origins_fills_no_log() -> None:
    refusals = Refusals(Counters())
    with capture_logs() as logs:
        for _ in range(100):
            refused = refusals.of_origin("https://evil.example", "rooms.test", "remote")
            refusals.note(refused, "remote")
    assert (refused.status, refused.reason) == (403, "origin")
    assert len([log for log in logs if log["log_level"] == "warning"]) == 1
