"""What an HTTP API can do, as a table: routes, access and documentation are made of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import msgspec
from quart import Blueprint, Response, request
from quart_trio import QuartTrio
from werkzeug.routing import BaseConverter

from rooms.http.errors import API_PREFIX, is_api
from rooms.http.guard import Access, Guard

Method = Literal["GET", "POST", "DELETE"]
View = Callable[..., Awaitable[Response]]

BLUEPRINT = "rooms-api"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One thing that the API can do.

    Attributes:
        path: Below ``/api``, as a rule of Werkzeug: ``/rooms/<room:name>``.
        view: Answers it.  The first line of its docstring documents it, and its name is the
            operation's.
        answer: The type of the answer's body; None if there is none.
        access: What it asks of who calls it; ``open`` if it checks that itself.
        body: The type of the request's body, if it takes one.
        needs_body: Whether it cannot be left out.
        query: The type of the query, each field a parameter.
        status: Of the answer when all went well.
        errors: Other statuses that it answers with, but for those that every endpoint of its
            access has.
        security: The names of the security schemes, where they are not the admin's.
    """

    method: Method
    path: str
    view: View
    answer: type[msgspec.Struct] | None
    access: Access = "read"
    body: type[msgspec.Struct] | None = None
    needs_body: bool = True
    query: type[msgspec.Struct] | None = None
    status: int = 200
    errors: tuple[int, ...] = ()
    security: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The operation's name."""
        return self.view.__name__


class RoomName(BaseConverter):
    """The rest of a path as a room's name: unlike Werkzeug's own it may begin with a slash."""

    part_isolating = False
    regex = ".+?"
    weight = 300


def install_endpoints(
    site: QuartTrio, guard: Guard, endpoints: Iterable[Endpoint], otherwise: Access = "read"
) -> None:
    """Have ``site`` answer the endpoints for whom ``guard`` admits, and nobody else below /api.

    Args:
        otherwise: What it takes to be told that there is nothing.
    """
    site.url_map.converters["room"] = RoomName
    blueprint = Blueprint(BLUEPRINT, __name__, url_prefix=API_PREFIX)
    access: dict[str, Access] = {}
    open_paths = set()
    for endpoint in endpoints:
        access[f"{BLUEPRINT}.{endpoint.name}"] = endpoint.access
        if endpoint.access == "open":
            open_paths.add(API_PREFIX + endpoint.path)
        blueprint.add_url_rule(
            endpoint.path,
            endpoint.name,
            endpoint.view,
            methods=[endpoint.method],
        )

    async def admit() -> None:
        if not is_api(request.path) or request.path in open_paths:
            return
        wanted = access.get(request.endpoint or "", otherwise)
        guard.admit("read" if wanted == "full" and request.method == "OPTIONS" else wanted)

    site.before_request(admit)
    site.after_request(guard.note)
    site.register_blueprint(blueprint)
