"""ASGI's messages of a WebSocket, and the bytes of RFC 6455 that say the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from rooms.errors import check_close_code
from rooms.protocol.frames import BINARY, CLOSE, PING, PONG, TEXT, server_frame
from rooms.protocol.incremental import Control, Goodbye, IncrementalParser, Part, joined

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
        self._parser = IncrementalParser(masked=False)
        self._parts: list[Part] = []

    def take(self, data: bytes) -> Iterator[str | bytes | Control | Goodbye]:
        """Yield what is complete."""
        self._parser.feed(data)
        while (event := self._parser.take()) is not None:
            if not isinstance(event, Part):
                yield event
                continue
            self._parts.append(event)
            if event.last:
                whole, self._parts = joined(self._parts), []
                yield whole


def server_message(said: str | bytes | Control | Goodbye) -> Message | None:
    """Return the ASGI message that stands for what a server sends, if there is one."""
    if isinstance(said, Control):
        return None
    if isinstance(said, Goodbye):
        return {"type": "websocket.close", "code": said.code, "reason": said.reason}
    return {"type": "websocket.send", "text" if isinstance(said, str) else "bytes": said}


def answer_to(said: str | bytes | Control | Goodbye) -> bytes:
    """Return what a client would answer by itself, which is ASGI's server's to see to."""
    if isinstance(said, Goodbye):
        return client_close(said.code)
    if isinstance(said, Control) and said.opcode == PING:
        return masked(said.payload, PONG)
    return b""
