"""`rooms.http.admin`: rooms and clients as JSON, for who has the token."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from quart import Response
from structlog.testing import capture_logs

from rooms import Gateway
from rooms.config import Settings
from rooms.errors import Forced
from rooms.protocol.commands import User
from tests.http.fakes import TOKEN, FakeApp, FakeRoom, site_client

BEARER = {"Authorization": f"Bearer {TOKEN}"}
JSON = {**BEARER, "Content-Type": "application/json"}


async def content(answer: Response) -> Any:
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    return msgspec.json.decode(await answer.get_data(as_text=False))


async def get(app: FakeApp, path: str) -> Any:
    answer = await site_client(app).get(path, headers=BEARER)
    assert answer.status_code == 200
    return await content(answer)


async def post(app: FakeApp, path: str, body: Any) -> Any:
    answer = await site_client(app).post(path, headers=JSON, data=msgspec.json.encode(body))
    assert answer.status_code == 200
    return await content(answer)


async def refusal(answer: Response, status: int) -> dict[str, str]:
    assert answer.status_code == status
    body: dict[str, dict[str, str]] = await content(answer)
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message"}
    return body["error"]


# Who gets in.


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer \xff"],
)
@pytest.mark.parametrize("path", ["/api", "/api/info", "/api/rooms/x/publish", "/api/nowhere"])
async def test_without_the_token_everything_is_refused(path: str, authorization: str) -> None:
    client = site_client(FakeApp())
    for ask in (client.get, client.post, client.options):
        answer = await ask(path, headers={"Authorization": authorization})
        error = await refusal(answer, 401)
        assert error["code"] == "unauthorized"
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="rooms"'


async def test_the_scheme_is_read_whatever_its_case() -> None:
    headers = {"Authorization": f"bearer  {TOKEN} "}
    assert (await site_client(FakeApp()).get("/api/info", headers=headers)).status_code == 200


async def test_a_token_may_be_any_text() -> None:
    client = site_client(FakeApp(), Settings(admin_token="schlüssel"))
    answer = await client.get("/api/info", headers={"Authorization": "Bearer schlüssel"})
    assert answer.status_code == 200


async def test_nobody_gets_in_where_no_token_is_set() -> None:
    for header in ("Bearer", "Bearer "):
        answer = await site_client(FakeApp(), Settings()).get(
            "/api/info", headers={"Authorization": header}
        )
        await refusal(answer, 401)


async def test_health_and_readiness_are_open() -> None:
    client = site_client(FakeApp())
    assert await content(await client.get("/api/health")) == {"status": "ok"}
    assert await content(await client.get("/api/ready")) == {"status": "ready"}


async def test_a_server_that_is_stopping_is_not_ready() -> None:
    app = FakeApp()
    app.node.draining = True
    client = site_client(app)
    error = await refusal(await client.get("/api/ready"), 503)
    assert error["code"] == "not_ready"
    assert (await client.get("/api/health")).status_code == 200


async def why_not_ready(app: FakeApp, token: str = "", **site: Any) -> str:
    """What one is told who asks, with a token or without."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = await site_client(app, **site).get("/api/ready", headers=headers)
    error = await refusal(answer, 503)
    assert error["code"] == "not_ready"
    return str(error["message"])


async def test_who_is_no_admin_here_is_not_told_where_the_broker_is() -> None:
    app = FakeApp()
    app.node.broker.problem = "engine.example:6379 is away"
    assert await why_not_ready(app, "wrong") == "The broker is not ready."
    assert app.node.counters.get("admin_refusals", "token") == 1
    assert await why_not_ready(app, TOKEN, part="public") == "The broker is not ready."


async def test_a_server_whose_upstream_is_away_is_not_ready() -> None:
    app = FakeApp()
    app.routes.websocket("/live")(Gateway("ws://127.0.0.1:1/"))
    assert await why_not_ready(app) == "An upstream is away."
    assert "the upstream of /live is away: it cannot be reached" in await why_not_ready(app, TOKEN)


async def test_a_server_that_is_too_busy_is_not_ready() -> None:
    app = FakeApp()
    app.node.overloaded, app.node.lag.seconds = True, 2.5
    client = site_client(app)
    assert await why_not_ready(app) == "This server is too busy."
    assert "2.5 seconds late" in await why_not_ready(app, TOKEN)
    assert (await client.get("/api/health")).status_code == 200


async def test_a_server_whose_broker_cannot_store_is_not_ready() -> None:
    app = FakeApp()
    app.node.broker.problem = "the disk is full: free some space"
    assert await why_not_ready(app) == "The broker is not ready."
    assert "the disk is full: free some space" in await why_not_ready(app, TOKEN)
    app.node.broker.problem = None
    assert (await site_client(app).get("/api/ready")).status_code == 200


# Looking.


async def test_info_counts_rooms_and_clients() -> None:
    app = FakeApp()
    app.connect("c1", "a", "b")
    info = await get(app, "/api/info")
    assert (info["name"], info["rooms"], info["clients"]) == ("rooms", 2, 1)
    assert (info["connections"], info["lag"]) == (3, 0)
    assert {"version", "python", "started_at", "uptime"} <= set(info)


async def test_rooms_are_listed_by_name() -> None:
    app = FakeApp()
    app.connect("c1", "b", "a")
    app.connect("c2", "a")
    assert await get(app, "/api/rooms") == {
        "rooms": [
            {"name": "a", "count": 2, "position": ["e1", 0], "nodes": ["n1"]},
            {"name": "b", "count": 1, "position": ["e1", 0], "nodes": ["n1"]},
        ],
        "next": None,
        "unanswered": [],
    }


async def test_rooms_come_in_pages() -> None:
    app = FakeApp()
    app.connect("c1", "a", "b", "c d", "e")
    seen, path = [], "/api/rooms?limit=2"
    for _ in range(2):
        page = await get(app, path)
        seen.append([room["name"] for room in page["rooms"]])
        path = f"/api/rooms?limit=2&after={quote(page['next'] or '')}"
    assert seen == [["a", "b"], ["c d", "e"]]
    assert page["next"] is None


async def test_rooms_can_be_filtered() -> None:
    app = FakeApp()
    app.connect("c1", "chat/a", "chat/b/c", "news")
    page = await get(app, f"/api/rooms?filter={quote('chat/+')}")
    assert [room["name"] for room in page["rooms"]] == ["chat/a"]


async def test_a_filter_that_is_none_is_refused() -> None:
    answer = await site_client(FakeApp()).get("/api/rooms?filter=a%23", headers=BEARER)
    assert (await refusal(answer, 422))["code"] == "invalid_filter"


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", "", "1.5", "9" * 5000, "%D9%A1"])
@pytest.mark.parametrize("path", ["/api/rooms", "/api/clients", "/api/rooms/a"])
async def test_a_limit_out_of_bounds_is_refused(path: str, limit: str) -> None:
    app = FakeApp()
    app.connect("c1", "a")
    answer = await site_client(app).get(f"{path}?limit={limit}", headers=BEARER)
    assert "$.limit" in (await refusal(answer, 422))["message"]


@pytest.mark.parametrize(
    "name",
    ["lobby", "team/1", "100%", "a b", "ü/日本", "a?b&c", "/x", "x/", "a//b", "x/publish", "."],
)
async def test_a_room_is_found_by_any_name_that_it_can_have(name: str) -> None:
    app = FakeApp()
    app.connect("c7", name, user=User("ana", "Ana"))
    for spelling in (quote(name, safe=""), quote(name)):
        room = await get(app, f"/api/rooms/{spelling}")
        assert room == {
            "name": name,
            "count": 1,
            "position": ["e1", 0],
            "nodes": ["n1"],
            "members": [
                {
                    "id": "c7",
                    "user": {"id": "ana", "name": "Ana"},
                    "remote": "127.0.0.1:50000",
                    "path": "/ws",
                    "rooms": [name],
                    "connected_at": 1_800_000_000.0,
                    "latency_ms": None,
                    "waiting_bytes": 0,
                    "node": "n1",
                }
            ],
            "next": None,
            "unanswered": [],
        }


async def test_the_members_of_a_room_come_in_pages_in_the_order_of_their_numbers() -> None:
    app = FakeApp()
    for number in (10, 9, 2):
        app.connect(f"c{number}", "a")
    first = await get(app, "/api/rooms/a?limit=2")
    assert [member["id"] for member in first["members"]] == ["c2", "c9"]
    second = await get(app, f"/api/rooms/a?limit=2&after={first['next']}")
    assert [member["id"] for member in second["members"]] == ["c10"]
    assert second["next"] is None


async def test_clients_come_in_pages() -> None:
    app = FakeApp()
    for number in range(120):
        app.connect(f"c{number}")
    first = await get(app, "/api/clients")
    second = await get(app, f"/api/clients?after={first['next']}")
    listed = [client["id"] for page in (first, second) for client in page["clients"]]
    assert listed == [f"c{number}" for number in range(120)]
    assert (len(first["clients"]), second["next"]) == (100, None)


async def test_one_client_is_shown() -> None:
    app = FakeApp()
    app.connect("c1", "b", "a")
    client = await get(app, "/api/clients/c1")
    assert (client["id"], client["user"], client["rooms"]) == ("c1", None, ["a", "b"])


@pytest.mark.parametrize("path", ["/api/rooms/a", "/api/clients/c1", "/api/nowhere", "/api"])
async def test_what_is_not_there_is_404(path: str) -> None:
    answer = await site_client(FakeApp()).get(path, headers=BEARER)
    assert (await refusal(answer, 404))["code"] == "not_found"


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/api/clients/c1/send", {"POST", "OPTIONS"}),
        ("/api/rooms", {"GET", "HEAD", "OPTIONS"}),
    ],
)
async def test_a_method_that_is_not_taken_is_told_which_are(path: str, allow: set[str]) -> None:
    answer = await site_client(FakeApp()).put(path, headers=BEARER)
    assert (await refusal(answer, 405))["code"] == "method_not_allowed"
    assert set(answer.headers["Allow"].split(", ")) == allow


# Acting.


@pytest.mark.parametrize("name", ["lobby", "team/1", "100%", "x/publish", "/x"])
async def test_an_event_is_published_to_a_room(name: str) -> None:
    app = FakeApp()
    body = {"event": "notice", "payload": {"text": "hi"}, "unknown": 1}
    answer = await post(app, f"/api/rooms/{quote(name, safe='')}/publish", body)
    assert answer == {"position": ["e1", 1]}
    assert app.room(name).published == [("notice", {"text": "hi"})]


async def test_a_payload_may_be_left_out() -> None:
    app = FakeApp()
    await post(app, "/api/rooms/a/publish", {"event": "ping"})
    assert app.room("a").published == [("ping", None)]


@pytest.mark.parametrize("name", ["a+", "a#", "%24sys", "%00", "x" * 256])
async def test_no_room_is_made_under_a_name_that_none_can_have(name: str) -> None:
    answer = await site_client(FakeApp()).post(
        f"/api/rooms/{quote(name, safe='%')}/publish", headers=JSON, data=b'{"event": "e"}'
    )
    assert (await refusal(answer, 422))["code"] in ("invalid_name", "reserved_name")


async def test_an_event_of_the_servers_own_cannot_be_published() -> None:
    answer = await site_client(FakeApp()).post(
        "/api/rooms/a/publish", headers=JSON, data=b'{"event": "connected"}'
    )
    assert (await refusal(answer, 422))["code"] == "reserved_name"


async def test_an_event_is_sent_to_one_client() -> None:
    app = FakeApp()
    client = app.connect("c1")
    body = {"event": "notice", "payload": [1]}
    assert await post(app, "/api/clients/c1/send", body) == {"client": "c1"}
    assert client.sent == [("notice", [1])]


async def test_a_client_is_disconnected() -> None:
    app = FakeApp()
    client = app.connect("c1")
    body = {"code": 4001, "reason": "later"}
    answer = await post(app, "/api/clients/c1/disconnect", body)
    assert answer == {"client": "c1", **body}
    assert client.closed == (4001, "later")


async def test_a_client_can_be_disconnected_without_a_body() -> None:
    app = FakeApp()
    client = app.connect("c1")
    answer = await site_client(app).post("/api/clients/c1/disconnect", headers=BEARER)
    assert answer.status_code == 200
    assert client.closed == (Forced.close_code, Forced.default_reason)


@pytest.mark.parametrize(
    "body",
    [{"code": 1005}, {"code": 99}, {"code": 5000}, {"reason": "ü" * 62}, {"code": "4000"}],
)
async def test_a_close_that_cannot_be_sent_is_refused(body: dict[str, Any]) -> None:
    app = FakeApp()
    client = app.connect("c1")
    answer = await site_client(app).post(
        "/api/clients/c1/disconnect", headers=JSON, data=msgspec.json.encode(body)
    )
    await refusal(answer, 422)
    assert client.closed is None


@pytest.mark.parametrize("action", ["send", "disconnect"])
async def test_a_client_that_is_not_there_cannot_be_acted_on(action: str) -> None:
    answer = await site_client(FakeApp()).post(
        f"/api/clients/c1/{action}", headers=JSON, data=b'{"event": "e"}'
    )
    await refusal(answer, 404)


# Bodies.


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"{",
        b'{"event": NaN}',
        b'{"event": "\xff"}',
        b'{"event": "e", "unknown": "\xff"}',
        b'{"event": "\\ud800"}',
        b'{"event": "e", "payload": ' + b"[" * 60_000,
        b'{"event": "e", "payload": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"event": "e", "unknown": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}",
    ],
)
async def test_a_body_that_is_not_json_is_400(body: bytes) -> None:
    app = FakeApp()
    app.connect("c1")
    for path in ("/api/rooms/a/publish", "/api/clients/c1/send"):
        answer = await site_client(app).post(path, headers=JSON, data=body)
        assert (await refusal(answer, 400))["code"] == "malformed"


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"{}", "event"),
        (b"[]", "array"),
        (b"null", "null"),
        (b'{"event": 1}', "$.event"),
        (b'{"event": null}', "$.event"),
        (b'{"event": "e", "payload": 1e999}', "$.payload"),
    ],
)
async def test_a_field_of_the_wrong_type_is_422_and_named(body: bytes, where: str) -> None:
    answer = await site_client(FakeApp()).post("/api/rooms/a/publish", headers=JSON, data=body)
    error = await refusal(answer, 422)
    assert error["code"] == "invalid"
    assert where in error["message"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_of_another_type_is_415(content_type: str) -> None:
    headers = {**BEARER, "Content-Type": content_type}
    answer = await site_client(FakeApp()).post(
        "/api/rooms/a/publish", headers=headers, data=b'{"event": "e"}'
    )
    assert (await refusal(answer, 415))["code"] == "unsupported_media_type"


async def test_the_content_type_may_name_a_character_set() -> None:
    headers = {**BEARER, "Content-Type": "Application/JSON; charset=utf-8"}
    answer = await site_client(FakeApp()).post(
        "/api/rooms/a/publish", headers=headers, data=b'{"event": "e"}'
    )
    assert answer.status_code == 200


async def test_a_body_that_is_too_large_is_413() -> None:
    settings = Settings(admin_token=TOKEN, message_bytes=1000)
    body = b'{"event": "e", "payload": "' + b"x" * 6000 + b'"}'
    answer = await site_client(FakeApp(), settings).post(
        "/api/rooms/a/publish", headers=JSON, data=body
    )
    assert (await refusal(answer, 413))["code"] == "too_large"


async def test_a_failure_of_ours_is_logged_and_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(self: FakeRoom, event: str, payload: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(FakeRoom, "publish", fail)
    with capture_logs() as logs:
        answer = await site_client(FakeApp()).post(
            "/api/rooms/a/publish", headers=JSON, data=b'{"event": "e"}'
        )
    error = await refusal(answer, 500)
    assert error["code"] == "internal"
    assert "secret" not in error["message"]
    errors = [entry for entry in logs if entry["log_level"] == "error"]
    assert [(entry["event"], entry["path"]) for entry in errors] == [
        ("http_request_failed", "/api/rooms/a/publish")
    ]
