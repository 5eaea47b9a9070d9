"""`rooms.server.options`: what an application wants of its rooms."""

from __future__ import annotations

import pytest

from rooms import App, Settings
from rooms.core.history import Retention
from rooms.core.slow import SlowRule
from rooms.errors import InvalidFilter

SETTINGS = Settings(history_messages=100, history_seconds=300)


def retention(app: App, room: str) -> Retention:
    return app.options.retention(room, SETTINGS)


def test_what_is_not_said_is_left_to_the_settings() -> None:
    app = App()
    assert retention(app, "chat/1") == Retention(100, 300)
    app.rooms("chat/#", history=7)
    app.rooms("news/#", ttl=8)
    assert retention(app, "chat/1") == Retention(7, 300)
    assert retention(app, "news/1") == Retention(100, 8)
    assert retention(app, "lobby") == Retention(100, 300)


def test_of_several_that_name_a_room_what_was_said_last_holds() -> None:
    app = App()
    app.rooms("#", history=1, ttl=10)
    app.rooms("chat/+", history=2)
    app.rooms("chat/1", ttl=30)
    assert retention(app, "lobby") == Retention(1, 10)
    assert retention(app, "chat/2") == Retention(2, 10)
    assert retention(app, "chat/1") == Retention(2, 30)
    app.rooms("#", history=0)
    assert retention(app, "chat/1") == Retention(0, 30)


def test_an_included_app_brings_its_options_along() -> None:
    app, other = App(), App()
    other.rooms("chat/#", history=5)
    app.include(other)
    assert retention(app, "chat") == Retention(5, 300)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"history": -1}, "history=-1: keep 0 publications or more"),
        ({"ttl": 0}, "ttl=0: keep publications for more than 0 seconds"),
        ({"ttl": -2.5}, "ttl=-2.5: keep"),
    ],
)
def test_a_number_out_of_its_range_is_refused(options: dict[str, int], complaint: str) -> None:
    app = App()
    with pytest.raises(ValueError, match=complaint):
        app.rooms("#", history=options.get("history"), ttl=options.get("ttl"))
    assert retention(app, "lobby") == Retention(100, 300)


def test_what_is_no_filter_is_refused() -> None:
    with pytest.raises(InvalidFilter, match="must be the last level"):
        App().rooms("#/chat", history=1)


def test_slow_clients_of_a_room_are_treated_by_what_was_said_last_of_it() -> None:
    app = App()
    assert app.options.slow("ticker/1") is None
    app.rooms("ticker/#", slow="drop_oldest")
    app.rooms("ticker/1", history=3)
    assert app.options.slow("ticker/1") == SlowRule("drop_oldest", "ticker/#")
    app.rooms("#", slow="disconnect")
    assert app.options.slow("ticker/1") == SlowRule("disconnect", "#")


def test_an_unknown_policy_for_slow_clients_is_refused() -> None:
    with pytest.raises(ValueError, match="choose one of disconnect, drop_oldest, drop_newest"):
        App().rooms("#", slow="wait")  # type: ignore[arg-type]  # what is tested
