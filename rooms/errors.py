"""What can go wrong, each with its answer on the wire.

There are two kinds and they are never mixed: a `RequestError` answers one command and the
connection lives on; a `Disconnect` ends the connection.  The table of close codes below is the
only one: the documentation, the metrics' labels and the clients' decision to come back are made
from it.
"""

from __future__ import annotations

from typing import ClassVar


class RoomsError(Exception):
    """Anything this package raises on purpose."""


class ConfigError(RoomsError):
    """The server cannot start as it was told to; the message says what to change."""


class RequestError(RoomsError):
    """Goes back to the sender as an ``error`` frame; the connection lives on.

    Args:
        message: One sentence for the developer of the client: what happened and what to do.

    Attributes:
        retry_after: Seconds after which the same may succeed; None where it will not.
    """

    code: ClassVar[str] = "bad_request"
    retry_after: float | None = None
    id: int | str | None = None  # of the command that failed, where only the decoder knew it

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").splitlines()[0])
        self.message = str(self)


class Malformed(RequestError):
    """The frame is not what the protocol asks for."""

    code = "malformed"


class UnknownCommand(RequestError):
    """The frame's type is not one that this server knows."""

    code = "unknown_command"


class UnknownEvent(RequestError):
    """Nothing here handles an event of that name."""

    code = "unknown_event"


class NotMember(RequestError):
    """Join the room first."""

    code = "not_member"


class AlreadyJoined(RequestError):
    """This connection is in that room already."""

    code = "already_joined"


class LimitExceeded(RequestError):
    """A limit of this server is reached."""

    code = "limit_exceeded"


class RateLimited(RequestError):
    """Commands came too fast; wait before the next.

    Args:
        retry_after: Seconds to be quiet, so that the next is taken.
    """

    code = "rate_limited"

    def __init__(self, message: str = "", retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ReservedName(RequestError):
    """That name belongs to the server."""

    code = "reserved_name"


class InvalidName(RequestError):
    """A name must be 1 to 255 bytes of text without control characters."""

    code = "invalid_name"


class InvalidFilter(InvalidName):
    """A filter follows MQTT: ``+`` is a whole level, ``#`` a whole last level."""

    code = "invalid_filter"


class InvalidPayload(RequestError):
    """The payload is not what the event's type asks for."""

    code = "invalid_payload"


class NameTaken(RequestError):
    """Somebody else is signed in under that name."""

    code = "name_taken"


class Unauthorized(RequestError):
    """Sign-in is not possible that way."""

    code = "unauthorized"


class Forbidden(RequestError):
    """The application, or your token, does not allow that; it may not even exist."""

    code = "forbidden"


class Unrecoverable(RequestError):
    """What was missed cannot be told in full: load the room anew.

    Args:
        reason: ``epoch_changed``, ``too_old``, ``too_many`` or ``forbidden``.
    """

    code = "unrecoverable"

    def __init__(self, reason: str) -> None:
        super().__init__(_UNRECOVERABLE[reason])
        self.reason = reason


_UNRECOVERABLE = {
    "epoch_changed": "That position is not of this room's present life; load the room anew.",
    "too_old": "Some of what came after that position is not kept any more; load the room anew.",
    "forbidden": "You may not read what was published before; load what you may see anew.",
    "too_many": "Too much came after that position; load the room anew, or page its history.",
}


class Unavailable(RequestError):
    """The server cannot do that for the moment; try again."""

    code = "unavailable"
    retry_after = 1.0


class Internal(RequestError):
    """The server failed to handle this; it is in its log."""

    code = "internal"


class Refused(RoomsError):
    """Whoever asks to be let in is not.

    Args:
        reason: For people, and safe to show to whoever was refused.
        status: Of the answer to a request (RFC 9110, section 15): 401 where other credentials
            may help, 403 where none do, 429 or 503 where the same may do later.
        detail: For the log alone, and free of secrets; the reason if not given.
    """

    def __init__(self, reason: str, status: int = 401, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
        self.status = status
        self.detail = detail or self.reason


class InvalidToken(Refused):
    """A token does not prove who sent it."""


class Disconnect(RoomsError):
    """Ends a connection with a close code (RFC 6455, section 7.4).

    The number tells a client what to do: 3000-3499 and 4000-4499 invite it to come back,
    3500-3999 and 4500-4999 forbid it.

    Args:
        reason: A short text for people, sent along; at most 123 bytes reach the client
            (RFC 6455, section 5.5).
        code: Overrides the class's own close code, for an application's own codes.
    """

    close_code: ClassVar[int] = 3000
    default_reason: ClassVar[str] = "connection closed"

    def __init__(self, reason: str = "", code: int | None = None) -> None:
        self.reason = reason or self.default_reason
        self.code = self.close_code if code is None else check_close_code(code)
        super().__init__(f"{self.code} {self.reason}".rstrip())

    @classmethod
    def received(cls, code: int, reason: str) -> Disconnect:
        """Return what a peer said: any code, also those that only ever mean its absence."""
        disconnect = cls(reason or "closed by the client")
        disconnect.code = code
        disconnect.args = (f"{code} {disconnect.reason}",)
        return disconnect


class NormalClosure(Disconnect):
    """The peer or the application is done."""

    close_code = 1000
    default_reason = ""


class ProtocolViolation(Disconnect):
    """The peer broke RFC 6455."""

    close_code = 1002
    default_reason = "WebSocket protocol error"


class InvalidText(Disconnect):
    """A text message was not UTF-8 (RFC 6455, section 8.1)."""

    close_code = 1007
    default_reason = "text is not UTF-8"


class MessageTooBig(Disconnect):
    """A message was larger than this server takes."""

    close_code = 1009
    default_reason = "message too big"


class Lost(Disconnect):
    """The network connection ended without a goodbye; never sent (RFC 6455, section 7.4.1)."""

    close_code = 1006
    default_reason = "connection lost"


class HandlerFailed(Disconnect):
    """The application failed to handle the connection."""

    close_code = 1011
    default_reason = "internal error"


class ShuttingDown(Disconnect):
    """The server stops or restarts."""

    close_code = 3001
    default_reason = "server is shutting down"


class TokenExpired(Disconnect):
    """What the client signed in with holds no more; come back with a new token."""

    close_code = 3005
    default_reason = "token expired"


class SlowConsumer(Disconnect):
    """The client does not read as fast as its rooms speak."""

    close_code = 3008
    default_reason = "too slow"


class NoPong(Disconnect):
    """The client did not answer a ping in time."""

    close_code = 3012
    default_reason = "no pong"


class TooManyRequests(Disconnect):
    """The client went on as fast as before after it was told to wait."""

    close_code = 3013
    default_reason = "too many requests"


class NotSignedIn(Disconnect):
    """The client did not prove who it is, or what it proved was revoked."""

    close_code = 3500
    default_reason = "invalid token"


class BadRequest(Disconnect):
    """The client does not speak the protocol."""

    close_code = 3501
    default_reason = "bad request"


class Forced(Disconnect):
    """An operator or the application ended the connection."""

    close_code = 3503
    default_reason = "disconnected by the server"


class ConnectionLimit(Disconnect):
    """The user has as many connections as one may have."""

    close_code = 3504
    default_reason = "too many connections of this user"


class TooManyErrors(Disconnect):
    """The client went on sending what it was told is wrong."""

    close_code = 3509
    default_reason = "too many errors"


def may_reconnect(code: int) -> bool:
    """Whether a client that was closed with ``code`` should try again."""
    if code in (1002, 1003, 1007, 1009):
        return False
    return code < 3500 or 4000 <= code < 4500


def check_close_code(code: int) -> int:
    """Return ``code`` if an endpoint may send it (RFC 6455, section 7.4.2).

    Raises:
        ValueError: It is one that must not appear in a Close frame.
    """
    if code in (1000, 1001, 1002, 1003) or 1007 <= code <= 1014 or 3000 <= code <= 4999:
        return code
    raise ValueError(f"{code} is not a close code that may be sent: use 1000 or 3000-4999")
