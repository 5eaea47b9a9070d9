"""One client connection, from the first SYN to its place in a room."""

from __future__ import annotations

import base64
import os
import socket
import ssl
from enum import Enum, auto

from rooms.bench.errors import Refused
from rooms.bench.frames import client_frame
from rooms.bench.load import Room
from rooms.bench.target import Target
from rooms.protocol.frames import CLOSE

WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
READ_BYTES = 64 * 1024
BACKLOG_BYTES = 1024 * 1024

_HEAD_BYTES = 16 * 1024
_HEAD_END = b"\r\n\r\n"
_GOODBYE = client_frame((1000).to_bytes(2, "big"), CLOSE)


class State(Enum):
    """How far a connection is."""

    CONNECTING = auto()
    SECURING = auto()  # TLS handshake
    UPGRADING = auto()
    JOINING = auto()
    READY = auto()
    DEAD = auto()


class Connection:
    """A socket that never blocks, with what it has read and not yet sent.

    Attributes:
        rest: The beginning of what is not complete.
        sampled: Whether each of its deliveries is looked at by itself.
        number: The number of its latest delivery, live or told as missed; -1 before the first.
        skipped: How many numbers were left out on the way there, less those that came again.
    """

    __slots__ = ("_backlog", "_socket", "number", "rest", "room", "sampled", "skipped", "state")

    def __init__(self, sock: socket.socket, room: Room, sampled: bool) -> None:
        self._socket = sock
        self._backlog = b""
        self.room = room
        self.sampled = sampled
        self.state = State.CONNECTING
        self.rest = b""
        self.number = -1
        self.skipped = 0

    def fileno(self) -> int:
        """Return the socket's number; -1 once it is closed."""
        return self._socket.fileno()

    @property
    def delivered(self) -> int:
        """How many deliveries it got; to add up each of them would cost more."""
        return self.number + 1 - self.skipped

    @property
    def backlog(self) -> bool:
        """Whether bytes wait for the socket to take them."""
        return bool(self._backlog)

    def check_connected(self) -> None:
        """Raise the error that ended the attempt to connect, if any."""
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))

    def secure(self, context: ssl.SSLContext, host: str) -> bool:
        """Begin the TLS handshake, or go on with it; return whether it is complete."""
        if not isinstance(self._socket, ssl.SSLSocket):
            self._socket = context.wrap_socket(
                self._socket, server_hostname=host, do_handshake_on_connect=False
            )
        try:
            self._socket.do_handshake()
        except WOULD_BLOCK:
            return False
        return True

    def receive(self) -> bytes:
        """Return what can be read now, after what is left from before; nothing at the end.

        Raises:
            OSError: Nothing can be read now (`WOULD_BLOCK`), or the connection is broken.
        """
        data = self._socket.recv(READ_BYTES)
        if isinstance(self._socket, ssl.SSLSocket):
            while data and self._socket.pending():  # what TLS holds makes no socket ready
                data += self._socket.recv(READ_BYTES)
        if self.rest and data:
            data, self.rest = self.rest + data, b""
        return data

    def send(self, data: bytes) -> None:
        """Send at once what the socket takes; keep the rest for `flush`."""
        if self._backlog:
            self._backlog += data
        else:
            self._backlog = data
            self.flush()
        if len(self._backlog) > BACKLOG_BYTES:
            raise Refused("the server does not read what it is sent")

    def flush(self) -> None:
        """Send more of what waits."""
        try:
            sent = self._socket.send(self._backlog)
        except WOULD_BLOCK:
            return
        self._backlog = self._backlog[sent:]

    def close(self) -> None:
        """Say goodbye if there is time, and close."""
        try:
            if self.state is State.READY and not self._backlog:
                self._socket.send(_GOODBYE)
        except OSError:
            pass  # the server was faster
        self.cut()

    def cut(self) -> None:
        """Close without a goodbye."""
        self.state = State.DEAD
        self._socket.close()


def open_socket(target: Target, source: str | None, port: int) -> socket.socket:
    """Begin to connect to one of the target's ports; the socket is writable when that is done."""
    family = socket.AF_INET6 if target.ipv6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if source is not None:
        _bind_source(sock, source)
    try:
        sock.connect((target.address, port))
    except BlockingIOError:
        pass
    except OSError:
        sock.close()
        raise
    return sock


def _bind_source(sock: socket.socket, source: str) -> None:
    """Set the source address, and leave the port to `connect`: so ports suffice for more."""
    late = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)  # has a name from Python 3.12 on
    sock.setsockopt(socket.IPPROTO_IP, late, 1)
    sock.bind((source, 0))


def source_address(target: Target, sources: int, turn: int) -> str | None:
    """Return one of several addresses of this machine; None where the system shall choose.

    Servers limit connections by address, and ports by address are few.
    """
    if sources == 1 or not target.address.startswith("127."):
        return None
    return f"127.0.0.{2 + turn % sources}"


def tls_context(target: Target) -> ssl.SSLContext | None:
    """Return what TLS needs; on this machine any certificate will do."""
    if not target.tls:
        return None
    context = ssl.create_default_context()
    if target.loopback:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def upgrade_request(target: Target, path: str, subprotocol: str | None = None) -> bytes:
    """Return the opening handshake (RFC 6455, section 4.1)."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {target.authority}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    ]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def split_answer(data: bytes) -> bytes | None:
    """Return what follows the server's half of the handshake; None while that is incomplete.

    Raises:
        Refused: It is anything but 101.
    """
    head, end, rest = data.partition(_HEAD_END)
    if not end and len(data) <= _HEAD_BYTES:
        return None
    status = head.split(b"\r\n")[0][:100]
    if not status.startswith(b"HTTP/1.1 101"):
        raise Refused(f"the upgrade was answered {status.decode(errors='replace')!r}")
    return rest
