"""`rooms.http.site`: the pages and what they load."""

from __future__ import annotations

from pathlib import Path

import pytest

from rooms.config import Settings
from rooms.http.assets import CONTENT_TYPES, web_root
from rooms.http.site import SECURITY_HEADERS, Part
from tests.http.fakes import FakeApp, site_client

PAGE = "<!doctype html><title>Chat</title>"
DASHBOARD = "<!doctype html><title>Dashboard</title>"


@pytest.fixture
def web(tmp_path: Path) -> Path:
    root = tmp_path / "web"
    (root / "chat").mkdir(parents=True)
    (root / "chat/index.html").write_text(PAGE)
    (root / "chat/chat.css").write_text("body {}")
    (root / "admin").mkdir()
    (root / "admin/index.html").write_text(DASHBOARD)
    (root / "rooms.js").write_text("export {};")
    (root / "rooms.d.ts").write_text("export {};")
    (root / "strange.bin").write_bytes(b"\0")
    (tmp_path / "secret.txt").write_text("secret")
    return root


async def test_the_chat_is_the_first_page(web: Path) -> None:
    answer = await site_client(FakeApp(), chat=True, web=web).get("/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert await answer.get_data() == PAGE.encode()


async def test_an_application_of_its_own_has_no_chat_but_the_client_library(web: Path) -> None:
    client = site_client(FakeApp(), web=web)
    assert (await client.get("/")).status_code == 404
    assert (await client.get("/static/chat/index.html")).status_code == 404
    assert (await client.get("/static/rooms.js")).status_code == 200


async def test_an_application_can_have_the_chat_as_its_first_page(web: Path) -> None:
    app = FakeApp()
    app.http.chat(sign_in="/login")
    client = site_client(app, web=web)
    assert await (await client.get("/")).get_data() == PAGE.encode()
    assert (await client.get("/static/chat/index.html")).status_code == 200


@pytest.mark.parametrize("part", ["all", "admin"])
async def test_the_dashboard_is_where_the_admin_api_is(web: Path, part: Part) -> None:
    answer = await site_client(FakeApp(), web=web, part=part).get("/admin")
    assert await answer.get_data() == DASHBOARD.encode()
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


async def test_there_is_no_dashboard_for_the_public_beside_an_admin_port(web: Path) -> None:
    client = site_client(FakeApp(), web=web, part="public")
    assert (await client.get("/admin")).status_code == 404
    assert (await client.get("/static/admin/index.html")).status_code == 404


async def test_an_application_may_have_the_dashboards_path_for_itself(web: Path) -> None:
    app = FakeApp()

    @app.http.get("/admin")
    async def own() -> str:
        return "my own"

    assert await (await site_client(app, web=web).get("/admin")).get_data() == b"my own"


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("chat/chat.css", "text/css; charset=utf-8"),
        ("rooms.js", "text/javascript; charset=utf-8"),
        ("rooms.d.ts", "text/plain; charset=utf-8"),
        ("strange.bin", "application/octet-stream"),
    ],
)
async def test_an_asset_has_its_content_type(web: Path, name: str, content_type: str) -> None:
    answer = await site_client(FakeApp(), chat=True, web=web).get(f"/static/{name}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == content_type


async def test_every_file_that_browsers_load_has_a_known_type() -> None:
    suffixes = {path.suffix for path in web_root().rglob("*") if path.is_file()}
    assert suffixes <= set(CONTENT_TYPES)


async def test_an_asset_that_has_not_changed_is_not_sent_again(web: Path) -> None:
    client = site_client(FakeApp(), web=web)
    first = await client.get("/static/rooms.js")
    assert first.headers["Cache-Control"] == "no-cache"
    again = await client.get("/static/rooms.js", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert await again.get_data() == b""


async def test_an_edited_asset_is_sent_anew(web: Path) -> None:
    client = site_client(FakeApp(), web=web)
    first = await client.get("/static/rooms.js")
    (web / "rooms.js").write_text("export const more = 1;")
    again = await client.get("/static/rooms.js", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 200
    assert b"more" in await again.get_data()


async def test_an_asset_that_was_removed_is_not_found(web: Path) -> None:
    client = site_client(FakeApp(), web=web)
    (web / "rooms.js").unlink()
    assert (await client.get("/static/rooms.js")).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "%2e%2e/secret.txt",
        "..%2fsecret.txt",
        "chat/../../secret.txt",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "..\\secret.txt",
        "rooms.js%00",
        "rooms.js/",
        "chat",
        "chat/",
        "x" * 5000,
        "",
    ],
)
async def test_no_path_leads_out_of_the_folder(web: Path, path: str) -> None:
    answer = await site_client(FakeApp(), chat=True, web=web).get(f"/static/{path}")
    assert answer.status_code == 404
    assert b"secret" not in await answer.get_data()


@pytest.mark.parametrize("path", ["/", "/static/rooms.js", "/nowhere", "/api/info", "/api/health"])
async def test_every_answer_has_the_security_headers(web: Path, path: str) -> None:
    answer = await site_client(FakeApp(), chat=True, web=web).get(path)
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


async def test_no_policy_lets_anything_inline_or_foreign_in() -> None:
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy


async def test_what_is_not_there_is_answered_in_plain_text(web: Path) -> None:
    answer = await site_client(FakeApp(), web=web).get("/<b>nowhere</b>")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert b"<b>" not in await answer.get_data()


async def test_a_method_that_is_not_taken_is_told_which_are(web: Path) -> None:
    answer = await site_client(FakeApp(), chat=True, web=web).post("/")
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


async def test_head_is_get_without_the_body(web: Path) -> None:
    answer = await site_client(FakeApp(), chat=True, web=web).head("/")
    assert answer.status_code == 200
    assert answer.headers["Content-Length"] == str(len(PAGE))


FAR_AWAY = "max-age=31536000"


@pytest.mark.parametrize(
    ("said", "host", "seconds", "told"),
    [
        ("https", "rooms.test", 31_536_000, FAR_AWAY),
        ("https", "rooms.test:8443", 60, "max-age=60"),
        ("https", "rooms.test", 0, None),
        ("http", "rooms.test", 31_536_000, None),
        ("https", "localhost:8443", 31_536_000, None),
    ],
)
async def test_by_tls_browsers_are_told_to_come_by_tls_alone(
    web: Path, said: str, host: str, seconds: int, told: str | None
) -> None:
    app = FakeApp()
    app.node.admission.proxies = {"nowhere"}
    client = site_client(app, Settings(hsts_seconds=seconds), web=web)
    for path in ("/static/rooms.js", "/nowhere", "/api/info"):
        answer = await client.get(path, headers={"X-Forwarded-Proto": said, "Host": host})
        assert answer.headers.get("Strict-Transport-Security") == told
