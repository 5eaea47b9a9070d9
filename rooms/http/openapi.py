"""The OpenAPI document (3.1) of the API, made of the table of its endpoints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from rooms.http.endpoints import Endpoint
from rooms.http.errors import API_PREFIX, ErrorView
from rooms.http.guard import COOKIE, SECURE_COOKIE
from rooms.protocol.names import NAME_BYTES

OPENAPI = "3.1.0"
REFERENCE = "#/components/schemas/{name}"

SECURITY_SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An admin token; with role `read` it may look, with role `full` also act.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": SECURE_COOKIE,
        "description": f"From `POST /api/session`; in clear text it is called `{COOKIE}`. Requests "
        "that act must come from a page of the same origin, and be of type application/json.",
    },
    "user": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of the application, or instead of it the application's own cookie.",
    },
}

ADMIN_SCHEMES = ("token", "session")

GUARDED = (401, 429, 503)
"""What every endpoint may answer that asks who calls it."""

ACTING = (403, 415)
BODY = (400, 408, 413, 415, 422)

_PARAMETER = re.compile(r"<(?:(?P<kind>\w+):)?(?P<name>\w+)>")


def document(endpoints: Sequence[Endpoint], version: str) -> dict[str, Any]:
    """Return the document that describes ``endpoints``.

    Args:
        version: Of this package.
    """
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        operations = paths.setdefault(open_path(endpoint.path), {})
        operations[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": OPENAPI,
        "info": {"title": "Rooms: the admin API", "version": version},
        "paths": paths,
        "components": {"schemas": _schemas(endpoints), "securitySchemes": SECURITY_SCHEMES},
    }


def open_path(rule: str) -> str:
    """Return the path of an endpoint as OpenAPI writes it: ``/api/rooms/{name}``."""
    return API_PREFIX + _PARAMETER.sub(r"{\g<name>}", rule)


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    schemes = endpoint.security or (() if endpoint.access == "open" else ADMIN_SCHEMES)
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": (endpoint.view.__doc__ or "").partition("\n")[0],
        "security": [{scheme: []} for scheme in schemes],
        "parameters": [*_path_parameters(endpoint.path), *_query_parameters(endpoint)],
        "responses": _responses(endpoint),
    }
    if endpoint.body is not None:
        content = {"application/json": {"schema": _reference(endpoint.body)}}
        operation["requestBody"] = {"required": endpoint.needs_body, "content": content}
    return operation


def _path_parameters(rule: str) -> list[dict[str, Any]]:
    schema = {"type": "string", "minLength": 1, "maxLength": NAME_BYTES}
    return [
        {"name": match["name"], "in": "path", "required": True, "schema": schema}
        for match in _PARAMETER.finditer(rule)
    ]


def _query_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    if endpoint.query is None:
        return []
    schema = msgspec.json.schema(endpoint.query)
    [properties] = [kind["properties"] for kind in schema["$defs"].values()]
    return [{"name": name, "in": "query", "schema": each} for name, each in properties.items()]


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    responses = {str(endpoint.status): _response(endpoint.status, endpoint.answer)}
    for status in sorted(_errors(endpoint)):
        responses[str(status)] = _response(status, ErrorView)
    return responses


def _errors(endpoint: Endpoint) -> set[int]:
    errors = set(endpoint.errors)
    if endpoint.access != "open":
        errors |= {*GUARDED}
    if endpoint.access == "full" or endpoint.method != "GET":
        errors |= {*ACTING}
    if endpoint.body is not None:
        errors |= {*BODY}
    if endpoint.query is not None or "<room:" in endpoint.path:
        errors.add(422)
    if "<" in endpoint.path:
        errors.add(404)
    return errors


def _response(status: int, kind: type[msgspec.Struct] | None) -> dict[str, Any]:
    described: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if kind is not None:
        described["content"] = {"application/json": {"schema": _reference(kind)}}
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        seconds = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
        described["headers"] = {"Retry-After": seconds}
    return described


def _schemas(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    kinds = {kind for each in endpoints for kind in (each.answer, each.body) if kind is not None}
    every = sorted(kinds | {ErrorView}, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(every, ref_template=REFERENCE)
    return schemas


def _reference(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": REFERENCE.format(name=kind.__name__)}
