"""`rooms.http.guard`: who may use the admin API, and with what."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from quart import Response, typing
from structlog.testing import capture_logs
from trio.testing import MockClock

from rooms.config import Settings
from rooms.core.admin_tokens import new_token
from rooms.core.tries import SECONDS, TRIES
from rooms.http.guard import COOKIE, SECURE_COOKIE
from tests.http.fakes import TOKEN, FakeApp, site_client

READER, ACTOR = new_token("probe", "read", "look"), new_token("deploy", "full", "act")
SETTINGS = Settings(admin_token=TOKEN, admin_tokens=(READER.line, ACTOR.line))
DISCONNECT = "/api/clients/c1/disconnect"
HERE = {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def served(app: FakeApp | None = None, settings: Settings = SETTINGS) -> typing.TestClientProtocol:
    app = app or FakeApp()
    app.connect("c1")
    app.node.admission.proxies = {"nowhere"}  # so that tests can say who they are
    return site_client(app, settings)


async def code_of(answer: Response) -> str:
    content: dict[str, Any] = msgspec.json.decode(await answer.get_data(as_text=False))
    return str(content["error"]["code"])


# Tokens.


@pytest.mark.parametrize("token", ["look", "act", TOKEN])
async def test_every_token_may_look(token: str) -> None:
    assert (await served().get("/api/info", headers=bearer(token))).status_code == 200


@pytest.mark.parametrize("token", ["act", TOKEN])
async def test_a_full_token_may_act(token: str) -> None:
    assert (await served().post(DISCONNECT, headers=bearer(token))).status_code == 200


async def test_a_token_for_reading_may_not_act() -> None:
    app = FakeApp()
    answer = await served(app).post(DISCONNECT, headers=bearer("look"))
    assert (answer.status_code, await code_of(answer)) == (403, "forbidden")
    assert app.clients["c1"].closed is None
    assert app.node.counters.get("admin_refusals", "role") == 1


async def test_what_is_kept_of_a_token_does_not_open() -> None:
    client = served()
    for stolen in (ACTOR.line, ACTOR.digest.hex(), "deploy"):
        assert (await client.get("/api/info", headers=bearer(stolen))).status_code == 401


async def test_a_token_that_was_taken_out_of_the_settings_opens_nothing() -> None:
    app = FakeApp()
    client = served(app)
    assert (await client.get("/api/info", headers=bearer("look"))).status_code == 200
    app.node.settings = Settings(admin_tokens=(ACTOR.line,))
    assert (await client.get("/api/info", headers=bearer("look"))).status_code == 401
    assert (await client.get("/api/info", headers=bearer("act"))).status_code == 200


async def test_whoever_acts_is_in_the_log_by_the_name_of_the_token() -> None:
    with capture_logs() as logs:
        client = served()
        for token in ("act", "look"):
            await client.post(DISCONNECT, headers=bearer(token))
        await client.get("/api/info", headers=bearer("act"))
    audit = [entry for entry in logs if entry["event"] == "admin"]
    assert [(each["token"], each["path"], each["status"]) for each in audit] == [
        ("deploy", DISCONNECT, 200),
        ("probe", DISCONNECT, 403),
    ]


# Guessing.


async def guess(client: typing.TestClientProtocol, address: str, token: str = "wrong") -> Response:
    headers = {**bearer(token), "X-Forwarded-For": address}
    return await client.get("/api/info", headers=headers)


async def test_who_guesses_has_to_wait_and_nobody_else(autojump_clock: MockClock) -> None:
    app = FakeApp()
    client = served(app)
    with capture_logs() as logs:
        answers = [await guess(client, "203.0.113.7") for _ in range(TRIES + 1)]
    assert [answer.status_code for answer in answers] == [401] * TRIES + [429]
    assert await code_of(answers[-1]) == "rate_limited"
    assert answers[-1].headers["Retry-After"] == str(int(SECONDS))
    assert (await guess(client, "203.0.113.7", "act")).status_code == 429
    assert (await guess(client, "203.0.113.8", "act")).status_code == 200
    assert app.node.counters.get("admin_refusals", "token") == TRIES
    assert app.node.counters.get("admin_refusals", "tries") == 2
    warnings = [entry for entry in logs if entry["event"] == "wrong admin token"]
    assert warnings[0]["remote"] == "203.0.113.7"
    assert "wrong'" not in repr([{**entry, "event": ""} for entry in warnings])


async def test_a_network_of_ipv6_is_one_who_guesses() -> None:
    client = served()
    for number in range(TRIES):
        await guess(client, f"2001:db8::{number:x}")
    assert (await guess(client, "2001:db8::ffff:1")).status_code == 429
    assert (await guess(client, "2001:db8:0:1::1", "act")).status_code == 200


async def test_whoever_brings_no_token_has_not_guessed() -> None:
    client = served()
    for _ in range(2 * TRIES):
        assert (await client.get("/api/info")).status_code == 401
        basic = {"Authorization": "Basic dXNlcjpwYXNz"}  # asked for by some proxy
        assert (await client.get("/api/info", headers=basic)).status_code == 401
    assert (await client.get("/api/info", headers=bearer("act"))).status_code == 200


# Sessions.


async def sign_in(client: typing.TestClientProtocol, token: str = "act", **headers: str) -> str:
    """Return the cookie that a sign-in brings, as it is set."""
    answer = await client.post("/api/session", headers={**bearer(token), **headers})
    assert answer.status_code == 200
    content = msgspec.json.decode(await answer.get_data(as_text=False))
    assert set(content) == {"name", "role", "expires_at"}
    return answer.headers["Set-Cookie"]


async def test_a_cookie_opens_what_its_token_does() -> None:
    app = FakeApp()
    client = served(app)
    assert (await client.get("/api/info")).status_code == 401
    await sign_in(client)
    session = msgspec.json.decode(await (await client.get("/api/session")).get_data(as_text=False))
    assert (session["name"], session["role"]) == ("deploy", "full")
    assert (await client.get("/api/info")).status_code == 200
    assert (await client.post(DISCONNECT, headers=HERE)).status_code == 200
    assert app.clients["c1"].closed is not None


async def test_a_cookie_got_for_a_reading_token_may_not_act() -> None:
    client = served()
    await sign_in(client, "look")
    assert (await client.get("/api/info")).status_code == 200
    assert (await client.post(DISCONNECT, headers=HERE)).status_code == 403


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites() -> None:
    cookie = await sign_in(served())
    name, *attributes = cookie.split("; ")
    assert name.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"} <= set(attributes)
    assert "Domain" not in cookie
    assert "Secure" not in attributes


async def test_by_tls_the_cookie_is_for_tls_and_this_host_alone() -> None:
    cookie = await sign_in(served(), **{"X-Forwarded-Proto": "https"})
    assert cookie.startswith(f"{SECURE_COOKIE}=")
    assert "Secure" in cookie.split("; ")


async def test_the_cookie_holds_nothing_of_the_token() -> None:
    client = served()
    first, second = await sign_in(client), await sign_in(client)
    assert first.split(";")[0] != second.split(";")[0]
    assert len(first.split("=")[1].split(";")[0]) >= 43


async def test_after_signing_out_the_cookie_opens_nothing() -> None:
    client = served()
    cookie = (await sign_in(client)).split(";")[0]
    answer = await client.delete("/api/session", headers=HERE)
    assert (answer.status_code, await answer.get_data(as_text=False)) == (204, b"")
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    stolen = {"Cookie": cookie}
    assert (await served().get("/api/info", headers=stolen)).status_code == 401
    assert (await client.get("/api/info", headers=stolen)).status_code == 401


async def test_who_has_signed_out_is_signed_out_until_the_session_would_have_ended() -> None:
    app = FakeApp()
    client = served(app)
    cookie = {"Cookie": (await sign_in(client)).split(";")[0]}
    other = FakeApp()  # another worker, which has been told
    other.node.secret, other.node.revocations = app.node.secret, app.node.revocations
    assert (await served(other).get("/api/info", headers=cookie)).status_code == 200
    await client.delete("/api/session", headers=HERE)
    assert (await served(other).get("/api/info", headers=cookie)).status_code == 401


async def test_a_session_ends_in_time_and_cannot_prolong_itself() -> None:
    client = served(settings=msgspec.structs.replace(SETTINGS, admin_session_seconds=1e-6))
    await sign_in(client)
    assert (await client.get("/api/info")).status_code == 401
    client = served()
    await sign_in(client)
    assert (await client.post("/api/session", headers=HERE)).status_code == 401


async def test_a_session_ends_with_its_token() -> None:
    app = FakeApp()
    client = served(app)
    await sign_in(client)
    app.node.settings = Settings(admin_tokens=(READER.line,))
    assert (await client.get("/api/info")).status_code == 401


# Pages of strangers, and the cookie that the browser sends along.


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_a_page_of_strangers_cannot_act_with_the_cookie(said: dict[str, str]) -> None:
    app = FakeApp()
    client = served(app)
    await sign_in(client)
    answer = await client.post(
        DISCONNECT, headers={"Content-Type": "application/json", "Host": "localhost", **said}
    )
    assert (answer.status_code, await code_of(answer)) == (403, "csrf")
    assert app.clients["c1"].closed is None
    assert app.node.counters.get("admin_refusals", "csrf") == 1


async def test_a_page_of_ours_in_an_older_browser_is_known_by_its_origin() -> None:
    client = served()
    await sign_in(client)
    headers = {"Content-Type": "application/json", "Host": "a.test", "Origin": "http://A.test"}
    assert (await client.post(DISCONNECT, headers=headers)).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_form_cannot_act_with_the_cookie(kind: str) -> None:
    client = served()
    await sign_in(client)
    headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": kind}
    answer = await client.post(DISCONNECT, headers=headers)
    assert (answer.status_code, await code_of(answer)) == (415, "unsupported_media_type")
