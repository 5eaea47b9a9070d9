"""The API answers whatever comes as its own document says; `scripts/fuzz-api` goes on longer."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rooms.config import Settings
from rooms.core.admin_tokens import new_token
from rooms.http.admin import admin_endpoints
from rooms.http.endpoints import Endpoint
from rooms.http.errors import ErrorView
from rooms.http.guard import Guard
from rooms.http.openapi import document, open_path
from rooms.http.site import create_site
from rooms.server.app import App
from tests.http.fakes import FakeApp

READER, ACTOR = new_token("probe", "read", "look"), new_token("deploy", "full", "act")
SETTINGS = Settings(admin_tokens=(READER.line, ACTOR.line))


def running_app() -> App:
    """Return an app with somebody in it."""
    app = FakeApp()
    app.node.settings = SETTINGS
    app.connect("c1", "lobby", "team/1")
    return cast(App, app)


APP = running_app()
ENDPOINTS = admin_endpoints(APP, Guard(APP))
SITE = create_site(APP, SETTINGS, web=Path(__file__).parent)  # any folder will do
PATHS: dict[str, Any] = document(ENDPOINTS, "0")["paths"]

NAMES = st.sampled_from(["lobby", "c1", "team/1", "nobody"]) | st.text(min_size=1, max_size=300)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)
FIELDS = ["event", "payload", "code", "reason", "user", "token", "expires_at", "other"]
ORDERS = st.dictionaries(st.sampled_from(FIELDS), NAMES | JSON | st.integers(2999, 5000))
BODIES = (ORDERS | JSON).map(lambda value: _encoded(value)) | st.binary(max_size=40)
QUERIES = st.dictionaries(
    st.sampled_from(["limit", "after", "filter", "other"]),
    st.sampled_from(["1", "1000", "0", "-1", "#", "a/+", "+b", "9" * 30]) | st.text(max_size=20),
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": st.sampled_from(["application/json", "text/plain", ""]),
        "Authorization": st.sampled_from(["Bearer act"] * 8 + ["Bearer look", "Basic"]),
        "Cookie": st.text(string.printable.strip(), max_size=20),
    },
)


def _encoded(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError):
        return b"{}"


def _path(endpoint: Endpoint, name: str) -> str:
    base = open_path(endpoint.path).partition("{")[0]
    rest = open_path(endpoint.path).partition("}")[2]
    return base if base == open_path(endpoint.path) else base + quote(name, safe="") + rest


def check_answer(endpoint: Endpoint, status: int, kind: str, body: bytes) -> None:
    """Fail if an answer is none of those that the document has for an endpoint."""
    documented = PATHS[open_path(endpoint.path)][endpoint.method.lower()]["responses"]
    assert str(status) in documented
    if status == 204:
        assert body == b""
        return
    assert kind == "application/json"
    expected: Any = endpoint.answer if status < 400 else ErrorView
    msgspec.json.decode(body, type=expected or Any)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
@settings(max_examples=6)
@given(name=NAMES, query=QUERIES, headers=HEADERS, body=BODIES)
async def test_every_answer_is_in_the_document(
    endpoint: Endpoint, name: str, query: dict[str, str], headers: dict[str, str], body: bytes
) -> None:
    try:
        path = _path(endpoint, name)
    except UnicodeEncodeError:
        return
    ask: Any = SITE.test_client(use_cookies=False).open
    answer = await ask(path, method=endpoint.method, query_string=query, headers=headers, data=body)
    data = await answer.get_data(as_text=False)
    check_answer(endpoint, answer.status_code, answer.headers.get("Content-Type", ""), data)


def test_the_check_finds_what_is_not_in_the_document() -> None:
    [info] = [each for each in ENDPOINTS if each.name == "info"]
    for status, kind, body in (
        (418, "application/json", b"{}"),
        (401, "text/plain", b'{"error":{"code":"c","message":"m"}}'),
        (200, "application/json", b"{}"),
        (401, "application/json", b'{"error":"no"}'),
    ):
        with pytest.raises((AssertionError, msgspec.ValidationError)):
            check_answer(info, status, kind, body)
