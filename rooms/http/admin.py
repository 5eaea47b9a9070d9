"""The admin API: look at rooms and clients, and act on them, as JSON over HTTP."""

from __future__ import annotations

import platform
import time
from typing import Any

from msgspec import Struct
from quart import Response
from quart_trio import QuartTrio

from rooms.errors import check_close_code
from rooms.http import everywhere
from rooms.http.endpoints import Endpoint, View, install_endpoints
from rooms.http.errors import ApiError, json_response
from rooms.http.guard import Guard
from rooms.http.openapi import document
from rooms.http.requests import body, query
from rooms.http.revocations import revocation_endpoints
from rooms.http.sessions import session_endpoints
from rooms.http.tickets import ticket_endpoints
from rooms.http.views import (
    ClientsPage,
    ClientView,
    DisconnectedView,
    DisconnectOrder,
    EventOrder,
    InfoView,
    NodesView,
    PageQuery,
    PublishedView,
    RoomPage,
    RoomsPage,
    RoomsQuery,
    SentView,
    StatusView,
)
from rooms.protocol.names import check_event, check_room
from rooms.server.app import App, NotRunning
from rooms.server.version import rooms_version

REASON_BYTES = 123


class AdminApi:
    """The endpoints of the admin API over one `App`.

    Args:
        guard: Says who is an admin; without it nobody is.
    """

    def __init__(self, app: App, guard: Guard | None = None) -> None:
        self._app = app
        self._guard = guard
        self._started_at = time.time()

    async def health(self) -> Response:
        """Say that the process answers."""
        return json_response(StatusView("ok"))

    async def ready(self) -> Response:
        """Say whether the server should get new clients; why not, and where, to admins alone."""
        if self._app.node.draining:
            raise NotRunning("This server is stopping.")
        problem = self._app.node.broker.problem
        if problem is not None:
            message = f"Publications cannot be stored: {problem.removesuffix('.')}."
            raise self._not_ready("The broker is not ready.", message)
        if self._app.node.overloaded:
            message = f"This server is {self._app.node.lag.seconds:.1f} seconds late: too busy."
            raise self._not_ready("This server is too busy.", message)
        problem = await self._app.routes.problem()
        if problem is not None:
            raise self._not_ready("An upstream is away.", f"Not all can be served: {problem}.")
        return json_response(StatusView("ready"))

    def _not_ready(self, told: str, message: str) -> ApiError:
        admin = self._guard is not None and self._guard.knows()
        return ApiError(503, "not_ready", message if admin else told)

    async def info(self) -> Response:
        """Tell what runs here and since when."""
        info = InfoView(
            name="rooms",
            version=rooms_version(),
            python=platform.python_version(),
            started_at=self._started_at,
            uptime=time.time() - self._started_at,
            rooms=len(self._app.room_names),
            clients=len(self._app.clients) + len(self._app.websockets),
            connections=self._app.node.admission.connections,
            lag=round(self._app.node.lag.seconds, 4),
        )
        return json_response(info)

    async def rooms(self) -> Response:
        """List the rooms of all nodes by name."""
        return json_response(await everywhere.list_rooms(self._app, query(RoomsQuery)))

    async def room(self, name: str) -> Response:
        """Show one room and its members, of all nodes."""
        return json_response(await everywhere.show_room(self._app, name, query(PageQuery)))

    async def publish(self, name: str) -> Response:
        """Publish an event to a room, which need not have members."""
        check_room(name)
        order = await _event_order()
        position = await self._app.room(name).publish(order.event, order.payload)
        return json_response(PublishedView(position))

    async def clients(self) -> Response:
        """List the clients of all nodes by id."""
        return json_response(await everywhere.list_clients(self._app, query(PageQuery)))

    async def client(self, client_id: str) -> Response:
        """Show one client, of any node."""
        return json_response(await everywhere.show_client(self._app, client_id))

    async def send(self, client_id: str) -> Response:
        """Send an event to one client, of any node."""
        await everywhere.send(self._app, client_id, await _event_order())
        return json_response(SentView(client_id))

    async def disconnect(self, client_id: str) -> Response:
        """End one client's connection, on any node."""
        order = await _disconnect_order()
        await everywhere.disconnect(self._app, client_id, order.code, order.reason)
        return json_response(DisconnectedView(client_id, order.code, order.reason))

    async def nodes(self) -> Response:
        """List the nodes that are alive."""
        return json_response(await everywhere.list_nodes(self._app))


def admin_endpoints(app: App, guard: Guard) -> list[Endpoint]:
    """Return all that the admin API of ``app`` can do."""
    api = AdminApi(app, guard)
    endpoints = [*public_endpoints(api), *_reading(api), *_acting(api), *session_endpoints(guard)]
    endpoints += [*revocation_endpoints(app), *ticket_endpoints(app)]
    content: dict[str, Any] = {}

    async def openapi() -> Response:
        """Describe this API (OpenAPI 3.1)."""
        return json_response(content)

    endpoints.append(Endpoint(method="GET", path="/openapi.json", view=openapi, answer=None))
    content.update(document(endpoints, rooms_version()))
    return endpoints


def public_endpoints(api: AdminApi) -> list[Endpoint]:
    """Return what anybody may ask: whoever sends clients here must know how the server is."""
    return [
        _get("/health", api.health, StatusView, access="open"),
        _get("/ready", api.ready, StatusView, access="open", errors=(503,)),
    ]


def install_admin(site: QuartTrio, app: App, guard: Guard) -> None:
    """Have ``site`` answer the admin API of ``app``."""
    install_endpoints(site, guard, admin_endpoints(app, guard))


def install_public(site: QuartTrio, app: App, guard: Guard) -> None:
    """Have ``site`` answer what is not for admins, and nothing else of the API."""
    endpoints = [*public_endpoints(AdminApi(app)), *ticket_endpoints(app)]
    install_endpoints(site, guard, endpoints, otherwise="open")


def _get(path: str, view: View, answer: type[Struct], **more: Any) -> Endpoint:
    return Endpoint(method="GET", path=path, view=view, answer=answer, **more)


def _post(path: str, view: View, answer: type[Struct], body: type[Struct], **more: Any) -> Endpoint:
    return Endpoint(
        method="POST", path=path, view=view, answer=answer, body=body, access="full", **more
    )


def _reading(api: AdminApi) -> list[Endpoint]:
    return [
        _get("/info", api.info, InfoView),
        _get("/rooms", api.rooms, RoomsPage, query=RoomsQuery),
        _get("/rooms/<room:name>", api.room, RoomPage, query=PageQuery),
        _get("/clients", api.clients, ClientsPage, query=PageQuery),
        _get("/clients/<client_id>", api.client, ClientView, errors=(503,)),
        _get("/nodes", api.nodes, NodesView),
    ]


def _acting(api: AdminApi) -> list[Endpoint]:
    client = "/clients/<client_id>"
    return [
        _post("/rooms/<room:name>/publish", api.publish, PublishedView, EventOrder, errors=(409,)),
        _post(f"{client}/send", api.send, SentView, EventOrder, errors=(503,)),
        _post(
            f"{client}/disconnect",
            api.disconnect,
            DisconnectedView,
            DisconnectOrder,
            needs_body=False,
            errors=(503,),
        ),
    ]


async def _event_order() -> EventOrder:
    order = await body(EventOrder)
    check_event(order.event)
    return order


async def _disconnect_order() -> DisconnectOrder:
    order = await body(DisconnectOrder, default=b"{}")
    if len(order.reason.encode()) > REASON_BYTES:
        raise ApiError(422, "invalid", f"reason must be at most {REASON_BYTES} bytes long.")
    try:
        check_close_code(order.code)
    except ValueError as error:
        raise ApiError(422, "invalid", f"{error}.") from None
    return order
