"""The chat where tokens let people in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest

from tests.e2e.conftest import VisitorMaker
from tests.e2e.pages import Visitor, expect
from tests.e2e.servers import Server

pytestmark = pytest.mark.e2e

SECRET = "a secret of at least thirty-two bytes"
STORED = "[location.href, document.cookie, JSON.stringify(localStorage)].join()"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests: each has users of its own."""
    log = tmp_path_factory.mktemp("sign-in") / "server.log"
    with Server(log, jwt_secret=SECRET, jwt_leeway="0") as server:
        yield server


def token_of(user: str, name: str, seconds: float = 3600, **claims: Any) -> str:
    now = int(time.time())
    claims |= {"sub": user, "name": name, "iat": now - 1, "exp": now + seconds}
    return jwt.encode(claims, SECRET, "HS256")


def signed_in(visitor: Visitor, token: str, room: str = "lobby") -> None:
    visitor.show_token(token)
    visitor.is_in(room)
    visitor.is_connected()


def test_a_wrong_token_is_refused_in_words_and_a_good_one_signs_in(visitor: VisitorMaker) -> None:
    ana = visitor()
    ana.show_token("nonsense")
    expect(ana.page.get_by_role("alert")).to_contain_text("no token")
    ana.show_token(token_of("u1", "Ana", -10))
    expect(ana.page.get_by_role("alert")).to_contain_text("expired")
    token = token_of("u1", "Ana")
    signed_in(ana, token)
    expect(ana.page.locator("#me")).to_contain_text("Ana")
    expect(ana.people.filter(has_text="you")).to_contain_text("Ana")
    assert token not in ana.page.evaluate(STORED)
    ana.page.reload()
    ana.is_in("lobby")
    ana.page.get_by_role("button", name="Sign out").click()
    expect(ana.page.get_by_label("Your token")).to_be_focused()
    ana.page.reload()
    expect(ana.page.get_by_label("Your token")).to_be_visible()


def test_a_token_outlives_the_tab_only_if_that_is_wished(visitor: VisitorMaker) -> None:
    ana = visitor()
    ana.page.get_by_label("Remember it").check()
    signed_in(ana, token_of("u2", "Ana"))
    tab = ana.page.context.new_page()
    tab.goto(ana.page.url)
    expect(tab.get_by_role("heading", level=1)).to_have_text("lobby")


def test_a_token_that_expires_is_asked_for_anew_and_nothing_is_lost(visitor: VisitorMaker) -> None:
    ana = visitor()
    signed_in(ana, token_of("u3", "Ana", 3))
    ana.say("said before")
    expect(ana.message("said before").get_by_text("Delivered")).to_be_attached()
    ana.text_box.fill("half a thou")
    expect(ana.page.get_by_role("alert").filter(has_text="expired")).to_be_visible()
    signed_in(ana, token_of("u3", "Ana"))
    expect(ana.text_box).to_have_value("half a thou")
    expect(ana.message("said before")).to_be_visible()
    ana.say("half a thought")
    expect(ana.message("half a thought").get_by_text("Delivered")).to_be_attached()


def test_who_is_revoked_is_told_so(visitor: VisitorMaker, server: Server) -> None:
    ana = visitor()
    signed_in(ana, token_of("u4", "Ana"))
    server.revoke("u4")
    expect(ana.page.get_by_role("alert").filter(has_text="revoked")).to_be_visible()


def test_rooms_that_one_may_not_enter_are_shown_as_closed(visitor: VisitorMaker) -> None:
    ana = visitor()
    token = token_of("u5", "Ana", rooms={"team/1": ["join", "publish"]})
    signed_in(ana, token, "team/1")
    ana.say("for the team")
    expect(ana.message("for the team").get_by_text("Delivered")).to_be_attached()
    ana.join("secret")
    expect(ana.page.get_by_text("You may not enter this room.").first).to_be_visible()
    expect(ana.text_box).to_be_hidden()
    expect(ana.room_link("secret")).to_contain_text("You may not enter")
    ana.page.reload()
    ana.is_in("secret")
    ana.room_link("team/1").click()
    expect(ana.text_box).to_be_visible()
