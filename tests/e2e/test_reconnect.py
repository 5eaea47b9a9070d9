"""The server goes away, and comes back or does not."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import VisitorMaker
from tests.e2e.pages import Visitor, expect
from tests.e2e.servers import Server

pytestmark = pytest.mark.e2e

TOMORROW = 24 * 60 * 60


def is_reconnecting(visitor: Visitor) -> None:
    """Check that the page says so."""
    expect(visitor.page.locator("#state")).to_have_text("Reconnecting…")
    expect(visitor.page.get_by_text("The connection is lost.")).to_be_visible()


def test_after_a_restart_everybody_talks_on(visitor: VisitorMaker, server: Server) -> None:
    ana, ben = visitor("Ana"), visitor("Ben")
    ben.join("garden")
    ana.say("before")
    server.stop()
    is_reconnecting(ana)
    is_reconnecting(ben)
    server.start()
    ana.is_connected()
    ben.is_connected()
    expect(ana.page.get_by_text("The connection is lost.")).to_be_hidden()
    expect(ana.people).to_have_count(2)
    ana.say("after")
    expect(ben.room_link("lobby")).to_contain_text("2 unread")
    ben.room_link("lobby").click()
    expect(ben.messages).to_contain_text(["before", "after"])


def test_what_could_not_be_delivered_can_be_sent_again(
    visitor: VisitorMaker, server: Server
) -> None:
    ana, ben = visitor("Ana"), visitor("Ben")
    server.kill()
    is_reconnecting(ana)
    ana.say("anybody there?")
    expect(ana.message("anybody there?")).to_contain_text("Not delivered: no connection.")
    server.start()
    ana.is_connected()
    ben.is_connected()
    expect(ana.people).to_have_count(2)
    ana.page.get_by_role("button", name="Retry").click()
    expect(ana.message("anybody there?").get_by_text("Delivered")).to_be_attached()
    expect(ben.messages).to_contain_text(["anybody there?"])


def test_the_wait_for_the_next_attempt_can_be_cut_short(
    visitor: VisitorMaker, server: Server
) -> None:
    ana = visitor()
    ana.page.clock.install(time=0)
    ana.open()
    ana.sign_in("Ana")
    ana.is_in("lobby")
    server.kill()
    is_reconnecting(ana)
    ana.page.clock.pause_at(TOMORROW)  # from now on no wait ends by itself
    server.start()
    ana.page.get_by_role("button", name="Try now").click()
    ana.is_connected()


def test_who_is_sent_away_stays_away_until_they_want_to_come_back(
    visitor: VisitorMaker, server: Server
) -> None:
    ana = visitor("Ana")
    server.disconnect("Ana")
    expect(ana.page.locator("#state")).to_have_text("Disconnected")
    expect(ana.page.get_by_text("The server has ended the connection")).to_be_visible()
    ana.page.get_by_role("button", name="Connect again").click()
    ana.is_connected()
    ana.is_in("lobby")
    ana.say("here again")
    expect(ana.message("here again").get_by_text("Delivered")).to_be_attached()


def test_a_page_whose_server_is_gone_keeps_trying(visitor: VisitorMaker, server: Server) -> None:
    ana = visitor()
    server.kill()
    ana.sign_in("Ana")
    expect(ana.page.get_by_role("alert")).to_contain_text("cannot be reached")
    server.start()
    ana.is_in("lobby")
