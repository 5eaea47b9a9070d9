"""`rooms.server.signin`, `rooms.server.gate`: who gets in, and with whose name."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock

from rooms import Anonymous, App, Credentials, Identity, Refused, User
from rooms.config import Settings
from rooms.testing import MemoryServer, TestClient, client_close, in_memory
from rooms.testing.client import Refused as Unanswered
from tests.server.signing import ANA, BEN, Club, bearer, end_of, error_in, knock, offered

REQUIRED = Settings(auth_seconds=10, head_seconds=10)


async def refusal(server: MemoryServer, headers: str = "", path: str = "/ws") -> Unanswered:
    with pytest.raises(Unanswered) as caught:
        await knock(server, headers, path)
    await trio.testing.wait_all_tasks_blocked()
    return caught.value


@pytest.mark.parametrize(
    "headers",
    [
        bearer("ana"),
        "authorization: bearer ana\r\n",
        f"Sec-WebSocket-Protocol: {offered('ana')}\r\n",
        f"Sec-WebSocket-Protocol: rooms.v1.json, {offered('ana')}\r\n",
    ],
)
async def test_a_token_in_the_request_signs_in(headers: str) -> None:
    club = Club()
    async with in_memory(club.app) as server:
        client = await knock(server, headers)
        welcome = await client.receive()
        assert (welcome["user"], "auth" in welcome) == ({"id": "ana", "name": "Ana"}, False)
        assert (await client.event("whoami"))["payload"]["user"] == "ana"


async def test_a_token_is_never_selected_as_a_subprotocol() -> None:
    club = Club()
    async with in_memory(club.app) as server:
        both = f"Sec-WebSocket-Protocol: {offered('ana')}, rooms.v1.json\r\n"
        answer = await TestClient(server.open_stream()).handshake(headers=both)
        assert answer.count("rooms.v1.json") == 1
        assert "rooms.token" not in answer
        alone = f"Sec-WebSocket-Protocol: {offered('ana')}\r\n"
        answer = await TestClient(server.open_stream()).handshake(headers=alone)
        assert "sec-websocket-protocol" not in answer.lower()


async def test_a_token_is_neither_logged_nor_kept_nor_shown() -> None:
    club = Club()
    club.tokens.add("s3cret-token")
    ticket_like = "/ws?a=1&ticket=s3cret-ticket&b=2"
    with capture_logs() as logs:
        async with in_memory(club.app) as server:
            protocol = f"Sec-WebSocket-Protocol: rooms.v1.json, {offered('s3cret-token')}\r\n"
            await knock(server, protocol + bearer("s3cret-token"), "/ws?a=1")
            await refusal(server, bearer("s3cret-wrong"))
            await refusal(server, path=ticket_like)
            (client,) = server.node.clients.values()
            kept = repr((client.handshake, client.handshake.headers, client.identity is not None))
    assert (client.handshake.query, client.handshake.subprotocols) == ("a=1", ("rooms.v1.json",))
    for secret in ("s3cret", offered("s3cret-token")):
        assert secret not in kept
        assert secret not in repr(logs)
        assert secret.encode() not in client.handshake.head


@pytest.mark.parametrize(
    ("token", "status", "code"), [("no", 401, "unauthorized"), ("ban", 403, "forbidden")]
)
async def test_a_wrong_token_is_refused_before_the_upgrade(
    token: str, status: int, code: str
) -> None:
    club = Club()
    async with in_memory(club.app) as server:
        refused = await refusal(server, bearer(token))
        assert refused.status == status
        assert error_in(refused.answer) == {"code": code, "message": "That token is nobody's."}
        assert (b"WWW-Authenticate: Bearer" in refused.answer) == (status == 401)
        assert server.node.counters.get("refusals", code) == 1
        assert not server.node.sessions
    assert club.happened == []


@pytest.mark.parametrize(
    "headers",
    [
        "Sec-WebSocket-Protocol: rooms.token.%%%\r\n",
        "Sec-WebSocket-Protocol: rooms.token.A\r\n",
        "Sec-WebSocket-Protocol: rooms.token._w\r\n",
        "Authorization: Bearer\r\n",
        bearer("x" * 15000) + bearer("x"),
    ],
)
async def test_a_token_that_cannot_be_read_is_refused(headers: str) -> None:
    async with in_memory(Club().app) as server:
        assert (await refusal(server, headers)).status == 401


async def test_what_an_authenticator_raises_is_logged_and_not_told() -> None:
    club = Club()
    with capture_logs() as logs:
        async with in_memory(club.app) as server:
            refused = await refusal(server, bearer("crash"))
            assert refused.status == 500
            assert b"out of order" not in refused.answer
            client = await server.connect()
            assert (await client.request(type="auth", token="crash"))["code"] == "internal"
    assert [log["log_level"] for log in logs if log["event"] == "authenticator failed"] == [
        "error"
    ] * 2
    assert club.happened == []


async def test_an_authenticator_that_returns_nonsense_lets_nobody_in() -> None:
    app = App()
    app.authenticate(lambda credentials: "ana")  # type: ignore[arg-type,return-value]
    async with in_memory(app) as server:
        assert (await refusal(server, bearer("x"))).status == 500


@pytest.mark.parametrize(
    "values",
    [
        {"user": "ana"},
        {"user": User("ana", 5)},  # type: ignore[arg-type]
        {"user": User(5)},  # type: ignore[arg-type]
        {"expires_at": math.nan},
        {"expires_at": "2030-01-01"},
        {"token_id": 7},
        {"token_id": "\ud800"},
        {"grants": {"team/1": ["join"]}},
        {"claims": None},
    ],
    ids=str,
)
async def test_an_identity_that_cannot_be_said_or_end_lets_nobody_in(
    values: dict[str, Any],
) -> None:
    app = App()
    app.authenticate(lambda credentials: Identity(**{"user": ANA} | values))
    async with in_memory(app) as server:
        assert (await refusal(server, bearer("x"))).status == 500


@pytest.mark.parametrize(
    "user", [User("c1"), User("ana", "\ud800"), User("ana", "a\r\nb"), User("ana", "a" * 256)]
)
async def test_a_user_is_called_as_others_can_see_and_not_like_a_connection(user: User) -> None:
    app = App()
    app.authenticate(lambda credentials: user)
    async with in_memory(app) as server:
        assert (await refusal(server)).status == 403


async def test_whatever_the_reason_of_a_refusal_holds_it_can_be_said() -> None:
    app = App()

    @app.authenticate
    def who(credentials: Credentials) -> User | None:
        if credentials.token is None:
            return None
        raise Refused("There is no \ud800.")

    async with in_memory(app) as server:
        assert error_in((await refusal(server, bearer("x"))).answer)["message"] == "There is no ?."
        client = await server.connect()
        assert (await client.request(type="auth", token="x"))["message"] == "There is no ?."


async def test_a_users_name_is_told_in_its_composed_form() -> None:
    app = App()
    app.authenticate(lambda credentials: User("ana", "A\u0301na"))
    async with in_memory(app) as server:
        client = await knock(server)
        assert (await client.receive())["user"] == {"id": "ana", "name": "\u00c1na"}


async def test_a_slow_authenticator_holds_nobody_up_and_has_an_end(
    autojump_clock: MockClock,
) -> None:
    club = Club()
    async with in_memory(club.app, REQUIRED) as server:
        club.tokens.open = trio.Event()
        async with trio.open_nursery() as nursery:
            slow: list[int] = []

            async def wait() -> None:
                slow.append((await refusal(server, bearer("ana"))).status)

            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            waiting, club.tokens.open = club.tokens.open, trio.Event()
            club.tokens.open.set()
            welcome = await (await knock(server, bearer("ben"))).receive()
            assert (welcome["user"]["id"], waiting.is_set()) == ("ben", False)
        assert slow == [503]


async def test_so_many_checks_run_at_a_time_and_no_more(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rooms.server.gate.CHECKS", 2)
    club = Club()
    async with in_memory(club.app, REQUIRED) as server:
        club.tokens.open = trio.Event()
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(knock, server, bearer("ana"))
            await trio.testing.wait_all_tasks_blocked()
            assert len(club.tokens.asked) == 2
            club.tokens.open.set()
        assert len(club.tokens.asked) == 5


async def test_several_authenticators_are_asked_in_their_order() -> None:
    app = App()
    asked = []

    @app.authenticate
    def first(credentials: Credentials) -> User | None:
        asked.append("first")
        if credentials.token == "first":
            return ANA
        raise Refused("No.")

    @app.authenticate
    async def second(credentials: Credentials) -> User | None:
        asked.append("second")
        return BEN

    async with in_memory(app) as server:
        await knock(server, bearer("first"))
        await refusal(server, bearer("second"))
    assert asked == ["first", "first"]


# Whoever brings nothing.


async def test_without_credentials_only_auth_and_ping_are_taken() -> None:
    club = Club()
    async with in_memory(club.app) as server:
        client = await knock(server)
        welcome = await client.receive()
        assert (welcome["user"], welcome["auth"]) == (None, "required")
        for command in ({"type": "join", "room": "r"}, {"type": "event", "event": "whoami"}):
            assert (await client.request(**command))["code"] == "unauthorized"
        assert (await client.request(type="ping"))["type"] == "pong"
        assert club.happened == []
        reply = await client.request(type="auth", token="ana")
        assert reply["user"] == {"id": "ana", "name": "Ana"}
        assert (await client.join("r"))["presence"] == {
            "ana": [{"client": client.id or welcome["client"]}]
        }
        assert club.happened == ["connected"]
    assert club.happened == ["connected", "disconnected"]


async def test_until_then_nothing_of_the_application_knows_of_the_connection() -> None:
    club = Club()
    async with in_memory(club.app) as server:
        client = await server.connect()
        await club.app.broadcast("secret", 1)
        assert await club.app.send_to([client.id], "secret", 1) == 0
        assert (club.app.clients, club.app.room_names) == ({}, [])
        assert (await client.request(type="ping"))["type"] == "pong"
        assert client.kept_events() == []
        await client.close()
        await server.node.idle()
    assert club.happened == []


async def test_whoever_does_not_sign_in_in_time_is_sent_away(autojump_clock: MockClock) -> None:
    club = Club()
    async with in_memory(club.app, REQUIRED) as server:
        client = await server.connect()
        started = trio.current_time()
        assert await end_of(client) == (3500, "not signed in in time")
        assert trio.current_time() - started == pytest.approx(10, abs=0.1)
    assert club.happened == []


async def test_whoever_signs_in_in_time_stays(autojump_clock: MockClock) -> None:
    async with in_memory(Club().app, REQUIRED) as server:
        client = await server.connect()
        await client.request(type="auth", token="ana")
        await trio.sleep(12)
        assert (await client.event("whoami"))["payload"]["user"] == "ana"


async def test_three_wrong_tokens_are_enough() -> None:
    club = Club()
    async with in_memory(club.app) as server:
        client = await server.connect()
        for _ in range(2):
            answer = await client.request(type="auth", token="no")
            assert (answer["code"], answer["message"]) == (
                "unauthorized",
                "That token is nobody's.",
            )
        await client.send(type="auth", token="no")
        assert await end_of(client) == (3500, "That token is nobody's.")
    assert club.happened == []


async def test_a_slow_answer_to_auth_is_not_waited_for_for_ever(autojump_clock: MockClock) -> None:
    club = Club()
    async with in_memory(club.app, Settings(auth_seconds=2)) as server:
        client = await knock(server, bearer("ana"))
        club.tokens.open = trio.Event()
        assert (await client.request(type="auth", token="ana"))["code"] == "unavailable"
        assert (await client.event("whoami"))["payload"]["user"] == "ana"


async def test_a_peer_that_leaves_while_it_signs_in_leaves_nothing(
    autojump_clock: MockClock,
) -> None:
    club = Club()
    async with in_memory(club.app) as server:
        client = await server.connect()
        club.tokens.open = trio.Event()
        await client.send(type="auth", token="ana")
        await trio.testing.wait_all_tasks_blocked()
        await client.stream.send_all(client_close(1000))
        await client.stream.aclose()
        await server.node.idle()
    assert club.happened == []


async def test_a_token_that_is_too_long_is_not_even_looked_at() -> None:
    club = Club()
    async with in_memory(club.app) as server:
        client = await server.connect()
        asked = len(club.tokens.asked)
        answer = await client.request(type="auth", token="x" * 20_000)
        assert answer["code"] == "unauthorized"
        assert len(club.tokens.asked) == asked


async def test_a_message_brings_its_token_and_no_cookie() -> None:
    club = Club()
    async with in_memory(club.app) as server:
        client = await server.connect(headers="Cookie: session=1\r\n")
        await client.request(type="auth", token="ana")
    asked = club.tokens.asked
    assert (asked[0].cookies, asked[0].source) == ({"session": "1"}, "none")
    assert (asked[1].cookies, asked[1].source, asked[1].token) == ({}, "message", "ana")
    assert "cookie" not in asked[1].headers


# Anonymous clients, guests, and apps without auth.


async def test_the_anonymous_get_in_where_that_is_said() -> None:
    club = Club(auth=[Anonymous()])
    async with in_memory(club.app) as server:
        client = await knock(server)
        welcome = await client.receive()
        assert (welcome["user"], welcome["auth"]) == (None, "optional")
        assert (await client.event("whoami"))["payload"]["user"] is None
        assert (await refusal(server, bearer("no"))).status == 401


async def test_the_anonymous_may_sign_in_before_they_join() -> None:
    club = Club(auth=[Anonymous()])
    async with in_memory(club.app) as server:
        client = await server.connect()
        await client.join("r")
        assert (await client.request(type="auth", token="ana"))["code"] == "unauthorized"
        await client.request(type="leave", room="r")
        assert (await client.request(type="auth", token="ana"))["user"]["id"] == "ana"


async def test_there_are_no_guests_where_somebody_says_who_gets_in() -> None:
    club = Club(guests=True, auth=[Anonymous()])
    async with in_memory(club.app) as server:
        client = await server.connect()
        answer = await client.request(type="auth", name="ana", secret="x")
        assert answer["code"] == "unauthorized"
        await (await server.connect(headers=bearer("ana"))).close()  # gives no guest's name back


async def test_without_auth_everybody_gets_in_whatever_they_bring() -> None:
    async with in_memory(App()) as server:
        client = await server.connect(headers=bearer("x"), path="/ws?ticket=1")
        assert (await client.request(type="auth", token="x"))["code"] == "unauthorized"
        (kept,) = server.node.clients.values()
        assert kept.handshake.headers["authorization"] == "Bearer x"  # it may be the app's own


# Limits and endings.


async def test_a_user_has_so_many_connections_however_they_sign_in() -> None:
    club = Club()
    async with in_memory(club.app, Settings(connections_per_user=1)) as server:
        await server.connect(headers=bearer("ana"))
        by_header = await server.connect(headers=bearer("ana"))
        assert (await end_of(by_header))[0] == 3504
        by_message = await server.connect()
        await by_message.send(type="auth", token="ana", id=1)
        assert (await end_of(by_message))[0] == 3504
        await trio.testing.wait_all_tasks_blocked()
        assert club.happened == ["connected"]


async def test_a_token_that_expires_ends_its_connection(autojump_clock: MockClock) -> None:
    club = Club()
    async with in_memory(club.app) as server:
        club.tokens.add("short", seconds=60)
        client = await knock(server, bearer("short"))
        started = trio.current_time()
        welcome = await client.receive()
        assert welcome["expires_in"] == pytest.approx(60, abs=2)
        assert await end_of(client) == (3005, "token expired")
        assert trio.current_time() - started == pytest.approx(60, abs=3)
        await server.node.idle()
        assert len(server.node.expiries) == 0


async def test_a_new_token_in_time_keeps_the_connection(autojump_clock: MockClock) -> None:
    club = Club()
    async with in_memory(club.app, Settings(ping_seconds=3600)) as server:
        club.tokens.add("short", seconds=60)
        client = await server.connect(headers=bearer("short"))
        await client.join("r")
        club.tokens.add("longer", seconds=200, claims={"level": 2})
        reply = await client.request(type="auth", token="longer")
        assert reply["expires_in"] == pytest.approx(200, abs=2)
        await trio.sleep(90)
        answer = await client.event("whoami")
        assert answer["payload"] == {"user": "ana", "claims": {"level": 2}}
        assert club.app.room_names == ["r"]
        assert (await end_of(client))[0] == 3005


async def test_another_users_token_is_no_new_token() -> None:
    club = Club()
    async with in_memory(club.app) as server:
        client = await server.connect(headers=bearer("ana"))
        assert (await client.request(type="auth", token="ben"))["code"] == "unauthorized"
        assert (await client.event("whoami"))["payload"]["user"] == "ana"


async def test_a_refresh_that_fails_changes_nothing(autojump_clock: MockClock) -> None:
    club = Club()
    async with in_memory(club.app) as server:
        club.tokens.add("short", seconds=60)
        client = await server.connect(headers=bearer("short"))
        assert (await client.request(type="auth", token="no"))["code"] == "unauthorized"
        assert (await client.event("whoami"))["payload"]["user"] == "ana"
        assert (await end_of(client))[0] == 3005


async def test_a_connection_that_ends_before_its_token_is_forgotten() -> None:
    club = Club()
    async with in_memory(club.app) as server:
        club.tokens.add("short", seconds=60)
        client = await server.connect(headers=bearer("short"))
        assert len(server.node.expiries) == 1
        await client.close()
        await server.node.idle()
        assert len(server.node.expiries) == 0


async def test_a_token_without_an_end_says_nothing_of_one() -> None:
    club = Club()
    async with in_memory(club.app) as server:
        club.tokens.add("endless", seconds=1e300)
        client = await knock(server, bearer("ana"))
        assert "expires_in" not in await client.receive()
        await knock(server, bearer("endless"))
        club.tokens.identities["infinite"] = Identity(user=ANA, expires_at=math.inf)
        client = await knock(server, bearer("infinite"))
        assert "expires_in" not in await client.receive()
        assert len(server.node.expiries) == 0


async def test_what_one_has_proved_can_be_read_by_handlers() -> None:
    club = Club()
    async with in_memory(club.app) as server:
        club.tokens.add("t", claims={"role": "admin"})
        client = await server.connect(headers=bearer("t"))
        payload: Any = (await client.event("whoami"))["payload"]
        assert payload == {"user": "ana", "claims": {"role": "admin"}}
