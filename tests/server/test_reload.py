"""`rooms.server.reload`: what a running server takes over, and from when on."""

from __future__ import annotations

from typing import Any

import pytest

from rooms.config import Settings
from rooms.server.reload import NEEDS_RESTART, NEW_CONNECTIONS, Changes, merge

OLD = Settings()


def test_the_same_settings_change_nothing() -> None:
    assert merge(OLD, Settings()) == (OLD, Changes([], [], []))


@pytest.mark.parametrize(
    ("change", "now", "new_connections", "restart"),
    [
        ({"rooms_per_client": 5}, ["rooms_per_client"], [], []),
        ({"log_level": "debug"}, ["log_level"], [], []),
        ({"outbox_bytes": 5}, [], ["outbox_bytes"], []),
        ({"port": 1}, [], [], ["port"]),
        (
            {"port": 1, "origins": ("https://a.example",), "message_bytes": 9},
            ["origins"],
            ["message_bytes"],
            ["port"],
        ),
    ],
)
def test_each_change_is_told_with_when_it_holds(
    change: dict[str, Any], now: list[str], new_connections: list[str], restart: list[str]
) -> None:
    settings, changes = merge(OLD, Settings(**change))
    assert changes == Changes(now, new_connections, restart)
    for name, value in change.items():
        assert getattr(settings, name) == (getattr(OLD, name) if name in restart else value)


def test_another_certificate_is_taken_but_tls_is_not_turned_on_or_off() -> None:
    clear, one, other = Settings(), Settings(certfile="1.pem"), Settings(certfile="2.pem")
    assert merge(one, other) == (other, Changes([], ["certfile"], []))
    assert merge(clear, one) == (clear, Changes([], [], ["certfile"]))
    assert merge(one, clear) == (one, Changes([], [], ["certfile"]))


def test_all_names_are_of_settings() -> None:
    assert set(Settings.__struct_fields__) >= NEEDS_RESTART | NEW_CONNECTIONS
    assert not NEEDS_RESTART & NEW_CONNECTIONS
