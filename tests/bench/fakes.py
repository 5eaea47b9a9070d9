"""A server that does nothing by itself, for clients under test."""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import TracebackType
from typing import Any

from rooms.bench.clients import Clients
from rooms.bench.connection import Connection
from rooms.bench.load import Room
from rooms.bench.plan import Plan, make_plan
from rooms.bench.poller import Poller, open_poller
from rooms.bench.protocols import PROTOCOLS
from rooms.bench.shares import divide
from rooms.bench.target import Target, resolve
from rooms.protocol.parser import FrameParser, Message

SECONDS = 5.0
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(SECONDS)
        self.socket = sock
        self._parser = FrameParser(message_bytes=100_000)

    def request(self) -> bytes:
        """The request head, once it is all there."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.socket.recv(1)
        return head

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def messages(self) -> list[Message]:
        """Whole messages out of what comes next."""
        found: list[Message] = []
        while not found:
            data = self.socket.recv(65536)
            assert data, "the client has closed"
            found = self._parser.feed(data)
        return found


class Stage:
    """A listening socket, and clients that connect to it.

    Attributes:
        delivered: The stamps that each connection got.
    """

    def __init__(self, scenario: str = "fan-out", **changes: Any) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(SECONDS)
        self._peers: list[Peer] = []
        self.plan: Plan = make_plan(scenario, **changes)
        self.target: Target = resolve(f"ws://127.0.0.1:{self._listener.getsockname()[1]}")
        self.poller: Poller = open_poller()
        self.rooms = [Room(share) for share in divide(self.plan)[0]]
        self.delivered: list[tuple[Connection, tuple[int, int]]] = []
        self.clients = Clients(
            self.plan,
            self.target,
            PROTOCOLS[self.plan.protocol](self.plan),
            self.rooms,
            0,
            self.poller,
            self._deliver,
        )

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.clients.close()
        self.poller.close()
        self._listener.close()
        for peer in self._peers:
            peer.socket.close()

    def refuse(self) -> None:
        """Listen no more."""
        self._listener.close()

    def accept(self) -> Peer:
        """Take the next connection."""
        sock, _ = self._listener.accept()
        self._peers.append(Peer(sock))
        return self._peers[-1]

    def accept_upgraded(self) -> Peer:
        """Take the next connection, and say 101."""
        self.clients.open_more()
        peer = self.accept()
        self.turn()
        peer.request()
        peer.send(SWITCHING)
        return peer

    def turn(self, seconds: float = SECONDS) -> None:
        """Let the clients do what can be done, as soon as there is anything."""
        for fd, mask in self.poller.poll(seconds):
            self.clients.handle(fd, mask)

    def until(self, condition: Callable[[], bool]) -> None:
        """Let the clients work until something is so."""
        for _ in range(100):
            if condition():
                return
            self.turn()
        raise AssertionError("it never came to that")

    def _deliver(self, connection: Connection, stamps: list[tuple[int, int]]) -> None:
        self.delivered += [(connection, stamp) for stamp in stamps]
