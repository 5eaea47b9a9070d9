"""`rooms.http.openapi`: the document says what the API does, all of it and nothing else."""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec
import pytest

from rooms.http.endpoints import BLUEPRINT
from rooms.http.site import create_site
from rooms.server.app import App
from tests.http.fakes import TOKEN, FakeApp, site_client

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def document() -> dict[str, Any]:
    answer = await site_client(FakeApp()).get("/api/openapi.json", headers=BEARER)
    content: dict[str, Any] = msgspec.json.decode(await answer.get_data(as_text=False))
    return content


def operations(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }


def routes() -> set[tuple[str, str]]:
    """Every method and path below /api that the site answers."""
    app = FakeApp()
    site = create_site(cast(App, app), app.node.settings)
    return {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in site.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api")
    }


async def test_every_route_is_in_the_document_and_nothing_else(document: dict[str, Any]) -> None:
    assert operations(document) == routes()
    assert len(routes()) >= 14


async def test_every_route_is_one_of_the_table() -> None:
    app = FakeApp()
    site = create_site(cast(App, app), app.node.settings)
    below = [rule for rule in site.url_map.iter_rules() if rule.rule.startswith("/api")]
    assert {rule.endpoint.partition(".")[0] for rule in below} == {BLUEPRINT}


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    text = msgspec.json.encode(document).decode()
    names = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert names <= set(document["components"]["schemas"])


async def test_every_operation_says_what_it_does_and_how_it_fails(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"].endswith("."), path
            is_open = path in ("/api/health", "/api/ready", "/api/sign-in")
            assert (operation["security"] == []) == is_open
            if not is_open:
                assert {"401", "429", "503"} <= set(operation["responses"])
            if method == "post" and "requestBody" in operation:
                assert {"400", "403", "413", "415", "422"} <= set(operation["responses"])


async def test_both_ways_to_sign_in_are_described(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    assert (schemes["token"]["scheme"], schemes["session"]["in"]) == ("bearer", "cookie")
    assert document["paths"]["/api/info"]["get"]["security"] == [{"token": []}, {"session": []}]


async def test_parameters_say_what_they_may_be(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/api/rooms"]["get"]["parameters"]
    assert {each["name"]: each["schema"].get("maximum") for each in parameters} == {
        "limit": 1000,
        "after": None,
        "filter": None,
    }
