"""What the current request says, as types."""

from __future__ import annotations

from typing import TypeVar, cast

import msgspec
from quart import request

from rooms.http.errors import ApiError

T = TypeVar("T")


def query(kind: type[T]) -> T:
    """Return the ``kind`` that the request's query spells; parameters it does not know are ignored.

    Raises:
        ApiError: A parameter is not of its type.
    """
    try:
        return msgspec.convert(request.args.to_dict(), kind, strict=False)
    except msgspec.ValidationError as error:
        raise ApiError(422, "invalid", f"{error}.") from None


async def body(kind: type[T], default: bytes = b"") -> T:
    """Return the ``kind`` that the request's body spells in JSON.

    Args:
        default: Stands for a body that is left out.

    Raises:
        ApiError: The body is of another type, or as for `decode`.
    """
    data = cast(bytes, await request.get_data(as_text=False))
    if data and request.mimetype != "application/json":
        message = "Send the body as JSON, with the header 'Content-Type: application/json'."
        raise ApiError(415, "unsupported_media_type", message)
    return decode(data or default, kind)


def decode(data: bytes, kind: type[T]) -> T:
    """Return the ``kind`` that ``data`` spells in JSON; fields that it does not know are ignored.

    Raises:
        ApiError: It is not JSON, or a field is not of its type.
    """
    try:
        return msgspec.json.decode(data.decode(), type=kind)
    except msgspec.ValidationError as error:
        raise ApiError(422, "invalid", f"{error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(400, "malformed", f"The body is not JSON: {error}.") from None
