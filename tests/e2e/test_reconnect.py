"""The server goes away, and comes back or does not."""

from __future__ import annotations

import re

import pytest

from tests.e2e.conftest import VisitorMaker
from tests.e2e.line import Line
from tests.e2e.pages import Visitor, expect
from tests.e2e.servers import Server

pytestmark = pytest.mark.e2e

TOMORROW = 24 * 60 * 60
PATIENCE = 31_000  # milliseconds after which a message has failed
GAP = "Some messages may be missing here"


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
    expect(ben.log.filter(has_text=re.compile(f"before|after|{GAP}"))).to_contain_text(
        ["before", GAP, "after"]
    )


def test_what_is_said_without_a_connection_is_delivered_or_can_be_sent_again(
    visitor: VisitorMaker, server: Server
) -> None:
    ana, ben = visitor(), visitor("Ben")
    ana.page.clock.install()
    ana.open()
    ana.sign_in("Ana")
    ana.is_in("lobby")
    server.kill()
    is_reconnecting(ana)
    ana.say("one")
    expect(ana.message("one").get_by_text("Sending")).to_be_attached()
    ana.page.clock.fast_forward(PATIENCE)
    expect(ana.message("one")).to_contain_text("Not delivered: no connection.")
    ana.say("two")
    server.start()
    ben.is_connected()
    expect(ben.messages).to_contain_text(["two"])
    ana.page.get_by_role("button", name="Retry").click()
    expect(ana.message("one").get_by_text("Delivered")).to_be_attached()
    expect(ben.messages).to_contain_text(["two", "one"])


def test_who_was_away_catches_up_and_what_they_said_is_said_once(visitor: VisitorMaker) -> None:
    ana, ben = visitor(), visitor("Ben")
    line = Line(ana)
    ana.open()
    ana.sign_in("Ana")
    ana.is_in("lobby")
    expect(ana.people).to_have_count(2)
    line.holding = True
    ana.say("from Ana")
    expect(ben.message("from Ana")).to_be_visible()
    line.broken = True
    line.cut()
    is_reconnecting(ana)
    ben.say("while you were out")
    line.broken = False
    expect(ana.log).to_contain_text(["from Ana", "You were away", "while you were out"])
    expect(ana.message("from Ana").get_by_text("Delivered")).to_be_attached()
    ben.say("and since")
    expect(ana.messages).to_contain_text(["from Ana", "while you were out", "and since"])
    expect(ben.messages).to_contain_text(["from Ana", "while you were out", "and since"])
    expect(ben.notices.filter(has_text="left")).to_have_count(0)


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
