"""Which function handles which event."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from msgspec import Raw

from rooms.errors import InvalidPayload
from rooms.protocol.names import check_event
from rooms.protocol.topics import Filter, parse_filter

Function = Callable[..., Any]
Decode = Callable[[Raw], Any]
Result = Awaitable[Any] | Any


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that handles one event, in the rooms that a filter names or anywhere.

    Attributes:
        waits: Whether the function is asynchronous; a plain one is called where its event is
            read, which is faster, and must not take long.
        decode: Makes the payload what the function's ``Context[...]`` asks for.
    """

    event: str
    function: Function
    filter: Filter | None
    decode: Decode
    waits: bool

    def takes(self, room: str | None) -> bool:
        """Whether an event to ``room``, or to the server, is for this handler."""
        return self.filter is None or (room is not None and self.filter.matches(room))

    def overlaps(self, other: Handler) -> bool:
        """Whether an event could be for both."""
        if self.event != other.event:
            return False
        return self.filter is None or other.filter is None or self.filter.overlaps(other.filter)

    def renamed(self, event: str) -> Handler:
        """Return the same handler for another event."""
        return replace(self, event=event)


def make_handler(event: str, function: Function, room: str | None) -> Handler:
    """Return the handler that ``function``'s signature describes.

    Raises:
        InvalidFilter: ``room`` is not a filter.
        TypeError: The function does not take a context, or its payload's type is not one that
            msgspec can decode.
    """
    if not inspect.signature(function).parameters:
        raise TypeError(f"{_name(function)} handles {event!r}, so it must take a context")
    room_filter = None if room is None else parse_filter(room)
    waits = inspect.iscoroutinefunction(function)
    return Handler(event, function, room_filter, _decoder(function), waits)


class Handlers:
    """The handlers of one app; no event is ever for two of them.

    Attributes:
        fallback: Handles the events that no other does.
    """

    def __init__(self) -> None:
        self.fallback: Handler | None = None
        self._by_event: dict[str, list[Handler]] = {}

    def __iter__(self) -> typing.Iterator[Handler]:
        for handlers in self._by_event.values():
            yield from handlers

    def add(self, handler: Handler) -> None:
        """Have ``handler`` handle its event.

        Raises:
            ValueError: Another handler would, too.
        """
        rivals = self._by_event.setdefault(handler.event, [])
        for rival in rivals:
            if rival.overlaps(handler):
                names = f"{_name(rival.function)} and {_name(handler.function)}"
                raise ValueError(f"event {handler.event!r} has two handlers: {names}")
        rivals.append(handler)

    def find(self, event: str, room: str | None) -> Handler | None:
        """Return the handler for an event to ``room`` or to the server.

        Raises:
            InvalidName, ReservedName: It would be the fallback, and no client may send that event.
        """
        for handler in self._by_event.get(event, ()):
            if handler.filter is None or handler.takes(room):
                return handler
        if self.fallback is None:
            return None
        check_event(event)
        return self.fallback

    def set_fallback(self, handler: Handler) -> None:
        """Have ``handler`` handle what no other does.

        Raises:
            ValueError: Another one would, too.
        """
        if self.fallback is not None:
            names = f"{_name(self.fallback.function)} and {_name(handler.function)}"
            raise ValueError(f"the app has two fallbacks: {names}")
        self.fallback = handler


def _decoder(function: Function) -> Decode:
    wanted = _payload_type(function)
    if wanted is Raw:
        return lambda raw: raw
    decode = msgspec.json.Decoder(wanted).decode

    def decoded(raw: Raw) -> Any:
        try:
            return decode(raw)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            detail = "it is nested too deeply" if isinstance(error, RecursionError) else error
            raise InvalidPayload(f"The payload does not fit: {detail}.") from None

    return decoded


def _payload_type(function: Function) -> Any:
    """Return ``T`` of a first parameter annotated ``Context[T]``, or Any."""
    first = next(iter(inspect.signature(function).parameters))
    annotation = typing.get_type_hints(function).get(first)
    arguments = typing.get_args(annotation)
    return arguments[0] if arguments else Any


def _name(function: Function) -> str:
    return f"{function.__module__}.{getattr(function, '__qualname__', function)}"
