"""`rooms.http.signin`: what a page is told before anybody has signed in."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from quart.typing import TestClientProtocol as Site

from rooms import Anonymous, App, SignedCookie
from rooms.chat import chat_app
from tests.http.test_tickets import site_of, token
from tests.server.signing import Club
from tests.server.test_cookies import SECRET, cookie

NOBODY = {"page": None, "optional": False, "user": None, "problem": None}
ANA = {"id": "ana", "name": "Ana"}


async def ask(site: Site, headers: dict[str, str] | None = None) -> dict[str, Any]:
    answer = await site.get("/api/sign-in", headers=headers or {})
    assert answer.status_code == 200
    content: dict[str, Any] = msgspec.json.decode(await answer.get_data(as_text=False))
    return content


@pytest.mark.parametrize(
    ("app", "way"),
    [
        (App(guests=True), {"by": "name"}),
        (App(), {"by": "nothing", "optional": True}),
        (Club().app, {"by": "token"}),
        (Club(auth=[Anonymous()]).app, {"by": "token", "optional": True}),
        (chat_app(auth=SignedCookie(SECRET), sign_in="/in"), {"by": "page", "page": "/in"}),
    ],
)
async def test_a_page_is_told_what_is_asked_for(app: App, way: dict[str, Any]) -> None:
    async with site_of(app) as (_, site):
        assert await ask(site) == NOBODY | way


async def test_who_has_a_token_is_told_whose_it_is() -> None:
    async with site_of(Club().app) as (_, site):
        assert (await ask(site, token("ana")))["user"] == ANA


async def test_a_cookie_signs_in_as_well() -> None:
    signed = {"Cookie": f"session={cookie(user_id='ana', name='Ana')}"}
    app = App(auth=SignedCookie(SECRET, name_key="name"))
    async with site_of(app) as (_, site):
        assert (await ask(site, signed))["user"] == ANA


@pytest.mark.parametrize("name", ["no", "ban"])
async def test_what_is_wrong_with_a_token_is_told_in_words(name: str) -> None:
    async with site_of(Club().app) as (_, site):
        answer = await ask(site, token(name))
    assert (answer["user"], answer["problem"]) == (None, "That token is nobody's.")


async def test_guesses_are_slowed_down_here_and_at_the_tickets_together() -> None:
    async with site_of(Club().app) as (_, site):
        for _ in range(5):
            await ask(site, token("no"))
            await site.post("/api/tickets", headers=token("no"))
        assert (await site.get("/api/sign-in", headers=token("no"))).status_code == 429


async def test_it_is_told_beside_an_admin_port_too() -> None:
    async with site_of(Club().app, part="public") as (_, site):
        assert (await ask(site))["by"] == "token"
