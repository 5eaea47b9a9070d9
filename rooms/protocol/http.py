"""The head of an HTTP request: enough of it to decide who answers (RFC 9112)."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote

END_OF_HEAD = b"\r\n\r\n"
_METHOD = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ-")

# Whoever reads the head after us might take a bare one for the end of a line (RFC 9112, 2.2).
_UNSAFE = ("\r", "\n", "\0")


class BadHead(Exception):
    """What came is not the head of a request that this server takes.

    Args:
        status: To answer with, or None where nothing can be answered.
    """

    def __init__(self, status: HTTPStatus | None) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A parsed request head.

    Attributes:
        raw: As it came, the empty line included.
        path: Percent-decoded, without the query.
        headers: Names in lower case; of one sent twice, the values joined by a comma.
        version: ``HTTP/1.1``, or an older one.
    """

    raw: bytes
    method: str
    path: str
    query: str
    headers: dict[str, str]
    version: str = "HTTP/1.1"

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


def parse_head(raw: bytes) -> RequestHead:
    """Return the head that ``raw``, which ends with an empty line, holds.

    Raises:
        BadHead: It is not well formed.
    """
    text = raw[: -len(END_OF_HEAD)].decode("latin-1")
    between = text.replace("\r\n", "")
    if any(character in between for character in _UNSAFE):
        raise BadHead(HTTPStatus.BAD_REQUEST)
    request_line, *lines = text.split("\r\n")
    parts = request_line.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadHead(HTTPStatus.BAD_REQUEST)
    method, target, version = parts
    path, _, query = target.partition("?")
    return RequestHead(raw, method, unquote(path), query, _headers(lines), version)


def parse_headers(head: bytes) -> dict[str, str]:
    """Return the headers of a head that `parse_head` has taken."""
    return _headers(head[: -len(END_OF_HEAD)].decode("latin-1").split("\r\n")[1:])


def _headers(lines: list[str]) -> dict[str, str]:
    """Return all headers; what comes twice is one list (RFC 9110, section 5.3)."""
    headers: dict[str, str] = {}
    for name, value in map(_header, lines):
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name or name != name.strip():
        raise BadHead(HTTPStatus.BAD_REQUEST)
    return name.lower(), value.strip()


def _offers_upgrade(line: bytes) -> bool:
    return line.lower().startswith((b"upgrade:", b"http2-settings:"))


def response(status: HTTPStatus, message: str = "") -> bytes:
    """Return a whole answer in plain text that ends the connection."""
    body = (message or status.phrase).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"Connection: close\r\n"
    )
    if status is HTTPStatus.UPGRADE_REQUIRED:
        head += "Sec-WebSocket-Version: 13\r\n"  # what would do (RFC 6455, section 4.4)
    return head.encode() + b"\r\n" + body
