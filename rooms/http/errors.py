"""How requests fail: JSON below ``/api``, a line of text elsewhere."""

from __future__ import annotations

from typing import Any

import msgspec
import structlog
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from rooms.errors import LimitExceeded, RequestError
from rooms.server.app import NotRunning

API_PREFIX = "/api"

log = structlog.get_logger("rooms.http")

_CODES = {
    400: "malformed",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    500: "internal",
}
_MESSAGES = {
    404: "There is nothing here. Check the path.",
    405: "This path does not take that method. The Allow header says which it takes.",
    408: "The body did not arrive in time.",
    413: "The body is larger than this server takes.",
    500: "The server failed to handle this request. Its log says why.",
}


class Error(msgspec.Struct):
    """What went wrong.

    Attributes:
        code: For programs.
        message: What happened and what to do, for people.
        retry_after: Seconds after which the same may be asked again.
    """

    code: str
    message: str
    retry_after: int | msgspec.UnsetType = msgspec.UNSET


class ErrorView(msgspec.Struct):
    """The answer to every request that fails."""

    error: Error


class ApiError(Exception):
    """Ends a request to the admin API with a status and an error that a program can read.

    Args:
        status: The HTTP status.
        code: What went wrong, for programs.
        message: What happened and what to do, for people.
        headers: More headers of the answer.
        retry_after: Seconds after which the same may be asked again.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: dict[str, str] | None = None,
        *,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}
        self.retry_after = retry_after
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)


def json_response(
    content: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Return ``content`` as JSON that no cache keeps."""
    response = Response(msgspec.json.encode(content), status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    response.headers.update(headers or {})
    return response


def install_errors(site: QuartTrio) -> None:
    """Make ``site`` answer every failure in the form that fits its path."""
    site.register_error_handler(ApiError, _api_error)
    site.register_error_handler(RequestError, _request_error)
    site.register_error_handler(HTTPException, _http_error)
    site.register_error_handler(RecursionError, _too_deep)
    site.register_error_handler(NotRunning, _not_running)
    site.register_error_handler(Exception, _crash)


def _answer(
    status: int, code: str, message: str, headers: dict[str, str], retry_after: int | None = None
) -> Response:
    if is_api(request.path):
        error = Error(code, message, msgspec.UNSET if retry_after is None else retry_after)
        return json_response(ErrorView(error), status, headers)
    return Response(f"{status} {message}\n", status, headers, content_type="text/plain")


def is_api(path: str) -> bool:
    """Whether ``path`` belongs to the admin API."""
    return path == API_PREFIX or path.startswith(f"{API_PREFIX}/")


async def _api_error(error: ApiError) -> Response:
    return _answer(error.status, error.code, error.message, error.headers, error.retry_after)


async def _request_error(error: RequestError) -> Response:
    status = 409 if isinstance(error, LimitExceeded) else 422
    return _answer(status, error.code, error.message, {})


async def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    message = _MESSAGES.get(status) or error.description or error.name
    headers = {name: value for name, value in error.get_headers() if name != "Content-Type"}
    return _answer(status, _CODES.get(status, "error"), message, headers)


async def _too_deep(_error: RecursionError) -> Response:
    return _answer(400, _CODES[400], "The body is nested too deeply.", {})


async def _not_running(_error: NotRunning) -> Response:
    return _answer(503, "not_ready", "This server is starting or stopping. Try again.", {})


async def _crash(error: Exception) -> Response:
    log.error("http_request_failed", method=request.method, path=request.path, exc_info=error)
    return _answer(500, _CODES[500], _MESSAGES[500], {})
