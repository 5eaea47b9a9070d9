"""The admin API: look at rooms and clients, and act on them, as JSON over HTTP."""

from __future__ import annotations

import hmac
import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar, cast

import msgspec
from quart import Blueprint, Response, request
from quart_trio import QuartTrio
from werkzeug.routing import BaseConverter

from rooms.errors import check_close_code
from rooms.http.errors import API_PREFIX, ApiError, is_api, json_response
from rooms.http.views import (
    DisconnectOrder,
    EventOrder,
    client_order,
    client_view,
    page_of,
    room_view,
)
from rooms.protocol.names import check_event, check_room
from rooms.protocol.topics import parse_filter
from rooms.server.app import App, NotRunning
from rooms.server.client import Client

OPEN_PATHS = frozenset({f"{API_PREFIX}/health", f"{API_PREFIX}/ready"})
REASON_BYTES = 123

T = TypeVar("T")


class RoomName(BaseConverter):
    """The rest of a path as a room's name: unlike Werkzeug's own it may begin with a slash."""

    part_isolating = False
    regex = ".+?"
    weight = 300


class AdminApi:
    """The endpoints of the admin API over one `App`."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._started_at = time.time()

    async def health(self) -> Response:
        """Say that the process answers."""
        return json_response({"status": "ok"})

    async def ready(self) -> Response:
        """Say whether the server should get new clients."""
        if self._app.node.draining:
            raise NotRunning("This server is stopping.")
        problem = self._app.node.broker.problem
        if problem is not None:
            raise ApiError(503, "not_ready", f"Publications cannot be stored: {problem}.")
        if self._app.node.overloaded:
            message = f"This server is {self._app.node.lag.seconds:.1f} seconds late: too busy."
            raise ApiError(503, "not_ready", message)
        return json_response({"status": "ready"})

    async def info(self) -> Response:
        """Tell what runs here and since when."""
        content = {
            "name": "rooms",
            "version": rooms_version(),
            "python": platform.python_version(),
            "started_at": self._started_at,
            "uptime": time.time() - self._started_at,
            "rooms": len(self._app.room_names),
            "clients": len(self._app.clients),
            "connections": self._app.node.admission.connections,
            "lag": round(self._app.node.lag.seconds, 4),
        }
        return json_response(content)

    async def rooms(self) -> Response:
        """List the rooms by name."""
        room_filter = parse_filter(request.args.get("filter") or "#")
        names = (name for name in self._app.room_names if room_filter.matches(name))
        page, following = page_of(names, str)
        views = [room_view(self._app.room(name)) for name in page]
        return json_response({"rooms": views, "next": following})

    async def room(self, name: str) -> Response:
        """Show one room and its members."""
        if name not in self._app.room_names:
            raise ApiError(404, "not_found", f"There is no room {name!r} with members.")
        room = self._app.room(name)
        page, following = page_of(room.members, lambda member: member.id, client_order)
        content = msgspec.structs.asdict(room_view(room))
        content["members"] = [client_view(member) for member in page]
        return json_response({**content, "next": following})

    async def publish(self, name: str) -> Response:
        """Publish an event to a room, which need not have members."""
        check_room(name)
        order = await _event_order()
        position = await self._app.room(name).publish(order.event, order.payload)
        return json_response({"position": position})

    async def clients(self) -> Response:
        """List the clients by id."""
        every = list(self._app.clients.values())
        page, following = page_of(every, lambda client: client.id, client_order)
        return json_response({"clients": [client_view(each) for each in page], "next": following})

    async def client(self, client_id: str) -> Response:
        """Show one client."""
        return json_response(client_view(self._client(client_id)))

    async def send(self, client_id: str) -> Response:
        """Send an event to one client."""
        client = self._client(client_id)
        order = await _event_order()
        await client.send(order.event, order.payload)
        return json_response({"client": client_id})

    async def disconnect(self, client_id: str) -> Response:
        """End one client's connection."""
        client = self._client(client_id)
        order = await _disconnect_order()
        client.close(order.code, order.reason)
        return json_response({"client": client_id, "code": order.code, "reason": order.reason})

    def _client(self, client_id: str) -> Client:
        client = self._app.clients.get(client_id)
        if client is None:
            raise ApiError(404, "not_found", f"There is no client {client_id!r}.")
        return client


def admin_api(site: QuartTrio, app: App) -> Blueprint:
    """Return the admin API of ``app``, and make ``site`` ask for the token of its settings.

    With an empty token nobody gets in; health and readiness are open.
    """
    site.url_map.converters["room"] = RoomName
    site.before_request(_guard(app))
    api = AdminApi(app)
    blueprint = Blueprint("admin", __name__, url_prefix=API_PREFIX)
    _add_reading(blueprint, api)
    _add_acting(blueprint, api)
    return blueprint


def _add_reading(blueprint: Blueprint, api: AdminApi) -> None:
    blueprint.add_url_rule("/health", view_func=api.health)
    blueprint.add_url_rule("/ready", view_func=api.ready)
    blueprint.add_url_rule("/info", view_func=api.info)
    blueprint.add_url_rule("/rooms", view_func=api.rooms)
    blueprint.add_url_rule("/rooms/<room:name>", view_func=api.room)
    blueprint.add_url_rule("/clients", view_func=api.clients)
    blueprint.add_url_rule("/clients/<client_id>", view_func=api.client)


def _add_acting(blueprint: Blueprint, api: AdminApi) -> None:
    post = ["POST"]
    blueprint.add_url_rule("/rooms/<room:name>/publish", view_func=api.publish, methods=post)
    blueprint.add_url_rule("/clients/<client_id>/send", view_func=api.send, methods=post)
    blueprint.add_url_rule(
        "/clients/<client_id>/disconnect", view_func=api.disconnect, methods=post
    )


def _guard(app: App) -> Callable[[], Any]:
    async def guard() -> None:
        if is_api(request.path) and request.path not in OPEN_PATHS:
            token = app.node.settings.admin_token  # it may change while the server runs
            check_token(request.headers.get("Authorization", ""), token)

    return guard


def check_token(authorization: str, token: str) -> None:
    """Return if the header ``authorization`` carries ``token``.

    Raises:
        ApiError: It does not, or the token is empty.
    """
    scheme, _, given = authorization.partition(" ")
    expected = token.encode()
    # headers come decoded as Latin-1; their bytes are what was sent
    same = hmac.compare_digest(given.strip().encode("latin-1", "replace"), expected)
    if not (same and expected and scheme.lower() == "bearer"):
        raise ApiError(
            401,
            "unauthorized",
            "Send the admin token of this server as 'Authorization: Bearer <token>'.",
            {"WWW-Authenticate": 'Bearer realm="rooms"'},
        )


async def _event_order() -> EventOrder:
    order = decode(await _json_body(), EventOrder)
    check_event(order.event)
    return order


async def _disconnect_order() -> DisconnectOrder:
    order = decode(await _json_body() or b"{}", DisconnectOrder)
    if len(order.reason.encode()) > REASON_BYTES:
        raise ApiError(422, "invalid", f"reason must be at most {REASON_BYTES} bytes long.")
    try:
        check_close_code(order.code)
    except ValueError as error:
        raise ApiError(422, "invalid", f"{error}.") from None
    return order


async def _json_body() -> bytes:
    body = cast(bytes, await request.get_data(as_text=False))
    if body and request.mimetype != "application/json":
        message = "Send the body as JSON, with the header 'Content-Type: application/json'."
        raise ApiError(415, "unsupported_media_type", message)
    return body


def decode(body: bytes, kind: type[T]) -> T:
    """Return the ``kind`` that ``body`` spells in JSON; fields that it does not know are ignored.

    Raises:
        ApiError: The body is not JSON, or a field is not of its type.
    """
    try:
        return msgspec.json.decode(body.decode(), type=kind)
    except msgspec.ValidationError as error:
        raise ApiError(422, "invalid", f"{error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(400, "malformed", f"The body is not JSON: {error}.") from None


def rooms_version() -> str:
    """Return the version of this package that is installed."""
    try:
        return version("rooms")
    except PackageNotFoundError:
        return "0"
