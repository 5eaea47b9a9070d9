"""What an application serves of its own."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import trio
from quart import Blueprint, request

from rooms import App
from rooms.config import Settings
from rooms.errors import ConfigError
from rooms.http.site import CONTENT_SECURITY_POLICY, create_site
from rooms.serving import serve
from rooms.testing import TestClient

SECONDS = 20


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """A folder of files to serve, with one outside."""
    folder = tmp_path / "public"
    (folder / "css").mkdir(parents=True)
    (folder / "sub/sub").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "index.html").write_text("<!doctype html>hello")
    (folder / "css/page.css").write_text("body {}")
    (folder / "sub/sub/index.html").write_text("<!doctype html>below")
    (folder / ".git/index.html").write_text("secret")
    (folder / ".env").write_text("secret")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "index.html").write_text("secret")
    (folder / "out").symlink_to(tmp_path)
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    return folder


async def test_files_of_a_folder_are_served(public: Path) -> None:
    client = create_site(App(static=public), Settings()).test_client()
    assert await (await client.get("/")).get_data() == b"<!doctype html>hello"
    answer = await client.get("/css/page.css")
    assert answer.headers["Content-Type"] == "text/css; charset=utf-8"
    assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert (await client.get("/static/rooms.js")).status_code == 200


async def test_a_folder_below_has_an_index_too(public: Path) -> None:
    answer = await create_site(App(static=public), Settings()).test_client().get("/sub/sub/")
    assert await answer.get_data() == b"<!doctype html>below"
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    "path",
    [
        "/.env",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/css",
        "/css/",
        "/sub/",
        "/sub/sub",
        "/.git/",
        "/out/",
        "/../",
        "/sub/%2e%2e/%2e%2e/",
        "/link.txt",
        "/no.html",
        "/css/%00",
        "/index.html/",
    ],
)
async def test_nothing_else_is_served(public: Path, path: str) -> None:
    client = create_site(App(static=public), Settings()).test_client()
    assert (await client.get(path)).status_code == 404


async def test_a_folder_that_is_none_is_a_clear_mistake() -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        create_site(App(static="nowhere"), Settings())


async def test_views_and_blueprints_answer_and_may_choose_their_headers() -> None:
    app = App()

    @app.http.get("/hello/<name>")
    async def hello(name: str) -> tuple[str, dict[str, str]]:
        return f"hello {name}", {"Content-Security-Policy": "default-src 'self'"}

    shop = Blueprint("shop", __name__, url_prefix="/shop")

    @shop.post("/buy")
    async def buy() -> dict[str, object]:
        return {"bought": (await request.get_json())["what"]}

    app.http.register_blueprint(shop)
    client = create_site(app, Settings()).test_client()
    answer = await client.get("/hello/ana")
    assert await answer.get_data() == b"hello ana"
    assert answer.headers["Content-Security-Policy"] == "default-src 'self'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    bought = await client.post("/shop/buy", json={"what": "tea"})
    assert await bought.get_json() == {"bought": "tea"}
    assert (await client.get("/shop/buy")).status_code == 405


async def test_a_blueprint_brings_what_comes_before_and_after_its_views() -> None:
    app = App()
    shop = Blueprint("shop", __name__)

    @shop.before_request
    async def closed() -> str | None:
        return "closed" if request.args.get("late") else None

    shop.get("/shop")(lambda: "open")
    app.http.register_blueprint(shop)
    client = create_site(app, Settings()).test_client()
    assert await (await client.get("/shop")).get_data() == b"open"
    assert await (await client.get("/shop?late=1")).get_data() == b"closed"


async def test_a_view_publishes_with_one_call() -> None:
    app = App(relay=True)

    @app.http.post("/news")
    async def tell() -> dict[str, object]:
        position = await app.room("news").publish("news", await request.get_json())
        return {"offset": position.offset}

    with trio.fail_after(SECONDS):
        async with serve(app, Settings(port=0)) as server, httpx.AsyncClient() as web:
            client = TestClient(await trio.open_tcp_stream("127.0.0.1", server.port))
            await client.handshake()
            await client.welcome()
            await client.join("news")
            answer = await web.post(f"{server.url}/news", json={"text": "rain"})
            assert answer.json() == {"offset": 1}
            assert await client.receive_event("news") == {"text": "rain"}
            await client.close()


@pytest.mark.parametrize("path", ["/api", "/api/x", "/static/x", "/metrics", "hello"])
def test_the_servers_own_paths_are_not_free(path: str) -> None:
    with pytest.raises(ValueError, match=path):
        App().http.get(path)(lambda: "")
    with pytest.raises(ValueError, match=path):
        App().http.register_blueprint(Blueprint("own", __name__), path)


def test_a_path_has_one_function_for_each_method() -> None:
    app, other = App(), App()
    app.http.get("/x")(lambda: "a")
    other.http.post("/x")(lambda: "b")
    app.include(other)
    with pytest.raises(ValueError, match="has a function already"):
        app.http.route("/x", ("PUT", "post"))(lambda: "c")


def test_two_folders_cannot_be_served_at_the_same_place() -> None:
    app = App(static="a")
    app.include(App(static="a"))
    with pytest.raises(ValueError, match="both a and b"):
        app.include(App(static="b"))
