"""ASGI's messages of a WebSocket, and the bytes of RFC 6455 that say the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from rooms.errors import check_close_code
from rooms.protocol.frames import BINARY, CLOSE, CONTINUATION, FIN, PING, TEXT, server_frame

Message = dict[str, Any]

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""Any will do: the server that speaks ASGI has seen to the client's own."""

_MASKED = 0x80
_NO_MASK = bytes(4)

_OURS = frozenset(
    {"connection", "upgrade", "sec-websocket-key", "sec-websocket-version"}
    | {"sec-websocket-protocol", "sec-websocket-extensions", "content-length", "transfer-encoding"}
)
"""Headers that are said anew: HTTP/2 has none of them (RFC 8441, section 5)."""


def head_of(scope: Mapping[str, Any]) -> bytes:
    """Return the request that an ASGI scope of type ``websocket`` stands for."""
    query = scope.get("query_string", b"").decode("latin-1")
    lines = [f"GET {_path(scope)}{'?' if query else ''}{query} HTTP/1.1"]
    named = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    lines += [f"{name}: {value}" for name, value in named if name.lower() not in _OURS]
    if not any(name.lower() == "host" for name, _ in named):
        lines.append("Host: localhost")
    lines += ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    lines.append(f"Sec-WebSocket-Key: {KEY}")
    if scope.get("subprotocols"):
        lines.append(f"Sec-WebSocket-Protocol: {', '.join(scope['subprotocols'])}")
    return "".join(f"{_one_line(line)}\r\n" for line in [*lines, ""]).encode("latin-1")


def _one_line(line: str) -> str:
    """Return a line in which the end of one is what no request may hold, so that it is refused."""
    return line.replace("\r", "\0").replace("\n", "\0")


def path_of(scope: Mapping[str, Any]) -> str:
    """Return the path as it is below where the application is mounted."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    inside = root and (path == root or path.startswith(root + "/"))
    return (path[len(root) :] if inside else path) or "/"


def _path(scope: Mapping[str, Any]) -> str:
    raw = scope.get("raw_path")
    if raw and not scope.get("root_path"):
        return str(raw.decode("latin-1"))
    return quote(path_of(scope), safe="/~!$&'()*+,;=:@")


def client_frames(message: Message) -> bytes:
    """Return the client's frames that an ASGI message ``websocket.receive`` stands for."""
    text = message.get("text")
    if text is not None:
        return masked(text.encode("utf-8", "surrogatepass"), TEXT)
    return masked(message.get("bytes") or b"", BINARY)


def client_close(code: int) -> bytes:
    """Return the client's Close frame; 1005 says that it gave no code (RFC 6455, 7.4.1).

    There was none (``b""``) if the code is one that no frame may hold: the server made it up.
    """
    try:
        return masked(b"" if code == 1005 else check_close_code(code).to_bytes(2, "big"), CLOSE)
    except ValueError:
        return b""


def masked(payload: bytes, opcode: int) -> bytes:
    """Return a frame with a mask that changes nothing, as nobody is there to be protected."""
    head = server_frame(payload, opcode)
    size = len(head) - len(payload)
    return bytes((head[0], head[1] | _MASKED)) + head[2:size] + _NO_MASK + payload


class Frames:
    """Takes a server's bytes apart again: whole messages and control frames, in order."""

    def __init__(self) -> None:
        self._data = b""
        self._at = 0  # where the data has not been looked at yet
        self._parts: list[bytes] = []
        self._opcode = CONTINUATION

    def take(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield what is complete, each with its opcode."""
        self._data, self._at = self._data[self._at :] + data, 0
        while (frame := self._next()) is not None:
            first, payload = frame
            opcode = first & 0xF
            if opcode >= CLOSE:
                yield opcode, payload
                continue
            self._opcode = opcode or self._opcode
            self._parts.append(payload)
            if first & FIN:
                whole, self._parts = b"".join(self._parts), []
                yield self._opcode, whole

    def _next(self) -> tuple[int, bytes] | None:
        """Take the first whole frame off the data, as its first byte and its payload."""
        start = self._at
        if len(self._data) < start + 2:
            return None
        first, size, body = self._data[start], self._data[start + 1], start + 2
        if size >= 126:
            body += 2 if size == 126 else 8
            size = int.from_bytes(self._data[start + 2 : body], "big")
        if len(self._data) < body + size:
            return None
        self._at = body + size
        return first, self._data[body : self._at]


def server_message(opcode: int, payload: bytes) -> Message | None:
    """Return the ASGI message that stands for what a server sends, if there is one."""
    if opcode == TEXT:
        return {"type": "websocket.send", "text": payload.decode()}
    if opcode == BINARY:
        return {"type": "websocket.send", "bytes": payload}
    if opcode == CLOSE:
        code = int.from_bytes(payload[:2], "big") if payload else 1005
        return {"type": "websocket.close", "code": code, "reason": payload[2:].decode()}
    return None


def answer_to(opcode: int, payload: bytes) -> bytes:
    """Return what a client would answer by itself, which is ASGI's server's to see to."""
    if opcode == PING:
        return masked(payload, 0xA)
    return masked(payload[:2], CLOSE) if opcode == CLOSE else b""
