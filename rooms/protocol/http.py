"""The head of an HTTP request: enough of it to decide who answers (RFC 9112)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import unquote, unquote_to_bytes

import msgspec

END_OF_HEAD = b"\r\n\r\n"
HEADERS = 128
"""Of a request, unless told otherwise; browsers send about twenty."""
SUBPROTOCOLS = 32
"""That a client may offer: they are kept as long as the connection, at ten times their size."""
VERSIONS = ("HTTP/1.1", "HTTP/1.0")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch  # RFC 9110, section 5.6.2
BARE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of an answer that is no page, whatever a browser would make of it."""

REFUSAL_HEADERS = {
    **BARE_HEADERS,
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
    "Connection": "close",
}
_METHOD = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ-")

# Whoever reads the head after us might take a bare one for the end of a line (RFC 9112, 2.2).
_UNSAFE = ("\r", "\n", "\0")


class BadHead(Exception):
    """What came is not the head of a request that this server takes.

    Args:
        status: To answer with, or None where nothing can be answered.
        reason: What to count it under; the name of the status, if not given.
        retry_after: Seconds after which to try again, where that can help.
        message: What happened and what to do, in sentences for people.
    """

    def __init__(
        self,
        status: HTTPStatus | None,
        reason: str = "",
        retry_after: int | None = None,
        message: str = "",
    ) -> None:
        super().__init__(status)
        self.status = status
        self.reason = reason or ("no_http" if status is None else status.name.lower())
        self.retry_after = retry_after
        self.message = message


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A parsed request head; its ``repr`` shows nothing that could be a secret.

    Attributes:
        raw: As it came, the empty line included.
        path: Percent-decoded, without the query.
        headers: Names in lower case; of one sent twice, the values joined by a comma.
        version: ``HTTP/1.1``, or an older one.
    """

    raw: bytes = field(repr=False)
    method: str
    path: str
    query: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    version: str = "HTTP/1.1"

    @property
    def raw_path(self) -> str:
        """The path as it came, without the query: in it an escaped ``/`` separates nothing."""
        return self.raw.split(b" ", 2)[1].decode("latin-1").partition("?")[0]

    @property
    def is_websocket(self) -> bool:
        """Whether the client asks for a WebSocket (RFC 6455, section 4.2.1).

        In HTTP/1.0 nothing can be asked for that way (RFC 9110, section 7.8).
        """
        if self.version == "HTTP/1.0":
            return False
        upgrade = self.headers.get("upgrade", "").lower()
        return "websocket" in [token.strip() for token in upgrade.split(",")]

    @property
    def has_body(self) -> bool:
        """Whether a body follows the head."""
        length = self.headers.get("content-length", "0").strip()
        return length != "0" or "transfer-encoding" in self.headers

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """The subprotocols that the client offers, most wanted first."""
        names = self.headers.get("sec-websocket-protocol", "").split(",")
        return tuple(name.strip() for name in names if name.strip())

    def without_upgrade(self) -> bytes:
        """Return the head without an offer to speak something else on this connection."""
        lines = self.raw.split(b"\r\n")
        kept = [line for line in lines if not _offers_upgrade(line)]
        return b"\r\n".join(kept)


def check_start(data: bytes) -> None:
    """Refuse early what cannot become a request, such as TLS on a clear port.

    Raises:
        BadHead: The first bytes are not those of a request line.
    """
    first_word = data[:24].split(b" ", 1)[0]
    if not _METHOD.issuperset(first_word):
        raise BadHead(None)
    if first_word == b"PRI":
        raise BadHead(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)


def parse_head(raw: bytes, headers: int = HEADERS) -> RequestHead:
    """Return the head that ``raw``, which ends with an empty line, holds.

    Args:
        headers: The most that it may have.

    Raises:
        BadHead: It is not well formed, or has more headers or offers more subprotocols than any
            client needs.
    """
    text = raw[: -len(END_OF_HEAD)].decode("latin-1")
    between = text.replace("\r\n", "")
    if any(character in between for character in _UNSAFE):
        raise BadHead(HTTPStatus.BAD_REQUEST)
    request_line, *lines = text.split("\r\n")
    if len(lines) > headers:
        raise BadHead(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    parts = request_line.split(" ")
    if len(parts) != 3 or parts[2] not in VERSIONS:
        raise BadHead(HTTPStatus.BAD_REQUEST)
    method, target, version = parts
    path, _, query = target.partition("?")
    head = RequestHead(raw, method, unquote(path), query, _headers(lines), version)
    if len(head.subprotocols) > SUBPROTOCOLS:
        raise BadHead(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    return head


def check_path(raw_path: str) -> None:
    """Do nothing if a path as it came can be a name of something: if it is UTF-8.

    Raises:
        BadHead: It would be read as the same as others that are not.
    """
    try:
        unquote_to_bytes(raw_path.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise BadHead(HTTPStatus.BAD_REQUEST, message="The path is not UTF-8.") from None


def parse_headers(head: bytes) -> dict[str, str]:
    """Return the headers of a head that `parse_head` has taken."""
    return _headers(head[: -len(END_OF_HEAD)].decode("latin-1").split("\r\n")[1:])


def check_header(name: str, value: str) -> None:
    """Do nothing if a header can be sent (RFC 9110, section 5.5).

    Raises:
        ValueError: It would be taken for something else.
    """
    if not _TOKEN(name):
        raise ValueError(f"{name!r} is no name of a header")
    if any(character in value for character in _UNSAFE) or not value.isascii():
        raise ValueError(f"the header {name} holds what no header may: {value!r}")


def _headers(lines: list[str]) -> dict[str, str]:
    """Return all headers; what comes twice is one list (RFC 9110, section 5.3)."""
    headers: dict[str, str] = {}
    for name, value in map(_header, lines):
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not _TOKEN(name):
        raise BadHead(HTTPStatus.BAD_REQUEST)
    return name.lower(), value.strip()


def _offers_upgrade(line: bytes) -> bool:
    return line.lower().startswith((b"upgrade:", b"http2-settings:"))


def response(refusal: BadHead, text: str | None = None) -> bytes:
    """Return a whole answer, its error as JSON, that ends the connection; nothing without a status.

    The reason is the error's code.

    Args:
        text: Plain text to answer by instead.
    """
    status, retry_after = refusal.status, refusal.retry_after
    if status is None:
        return b""
    message = refusal.message or f"{status.phrase}."
    if retry_after is not None:
        message += f" Try again in {retry_after} seconds."
    error = {"code": refusal.reason, "message": message}
    body = msgspec.json.encode({"error": error}) + b"\n"
    headers = dict(REFUSAL_HEADERS)
    if text is not None:
        body, headers["Content-Type"] = text.encode(), "text/plain; charset=utf-8"
    headers["Content-Length"] = str(len(body))
    if status is HTTPStatus.UPGRADE_REQUIRED:
        headers["Sec-WebSocket-Version"] = "13"  # what would do (RFC 6455, section 4.4)
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="rooms"'  # RFC 9110, section 11.6.1
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {status.value} {status.phrase}", *lines])
    return head.encode() + END_OF_HEAD + body


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's answer, taken apart; names of headers are in lower case."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def parse_answer(raw: bytes) -> Answer:
    """Return the parts of an answer of ours."""
    head, _, body = raw.partition(END_OF_HEAD)
    first, *lines = head.split(b"\r\n")
    fields = [line.partition(b":") for line in lines]
    headers = [(name.strip().lower(), value.strip()) for name, _, value in fields]
    return Answer(int(first.split(b" ")[1]), headers, body)
