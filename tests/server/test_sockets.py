"""`rooms.server.sockets`: where a server listens."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from rooms.errors import ConfigError
from rooms.server import sockets
from rooms.server.sockets import inherited_socket, open_socket

shared_ports = pytest.mark.skipif(
    not hasattr(socket, "SO_REUSEPORT"), reason="this system has no shared ports"
)


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Yield the socket that lies where a service manager would have put it."""
    with open_socket("127.0.0.1", 0) as sock:
        monkeypatch.setattr(sockets, "FIRST_INHERITED", sock.fileno())
        yield sock


def environment(count: str = "1", pid: int | None = None) -> dict[str, str]:
    """Return what a service manager sets, among other things."""
    chosen = os.getpid() if pid is None else pid
    handed = {"LISTEN_PID": str(chosen), "LISTEN_FDS": count, "LISTEN_FDNAMES": "rooms"}
    return {**handed, "PATH": "/bin"}


@shared_ports
def test_a_port_can_be_shared_if_all_agree() -> None:
    with open_socket("127.0.0.1", 0, shared=True) as first:
        port = first.getsockname()[1]
        with open_socket("127.0.0.1", port, shared=True) as second:
            assert second.getsockname() == first.getsockname()
        with pytest.raises(ConfigError, match=f"Port {port} on 127.0.0.1 is taken"):
            open_socket("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("", "An empty host is no address"),  # and not every address there is
        ("[::1]", "There is no address '\\[::1]' here"),
        ("a..b", "There is no address 'a..b' here"),
    ],
)
def test_what_is_no_address_is_listened_on_nowhere(host: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        open_socket(host, 0).close()


def test_a_system_without_shared_ports_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "SO_REUSEPORT", raising=False)
    with pytest.raises(ConfigError, match="no shared ports: leave --reuse-port out"):
        open_socket("127.0.0.1", 0, shared=True)


def test_a_socket_is_taken_from_the_service_manager_and_kept_from_children(
    handed_over: socket.socket,
) -> None:
    os.set_inheritable(handed_over.fileno(), True)
    given = environment()
    taken = inherited_socket(given)
    assert taken is not None
    assert taken.getsockname() == handed_over.getsockname()
    assert not taken.get_inheritable()
    assert given == {"PATH": "/bin"}
    taken.detach()


@pytest.mark.parametrize(
    "given", [{}, environment(count="0"), environment(pid=1), {"LISTEN_FDS": "1"}]
)
def test_without_one_for_this_process_there_is_none(given: dict[str, str]) -> None:
    assert inherited_socket(dict(given)) is None


def test_one_is_enough() -> None:
    with pytest.raises(ConfigError, match="There are 2 sockets in LISTEN_FDS: hand over one"):
        inherited_socket(environment(count="2"))


def test_what_is_not_a_listening_tcp_socket_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = socket.socketpair()
    with one, other, socket.socket() as deaf:
        for sock in (one, deaf):
            monkeypatch.setattr(sockets, "FIRST_INHERITED", sock.fileno())
            with pytest.raises(ConfigError, match="is not a listening TCP socket"):
                inherited_socket(environment())


def test_what_is_no_socket_at_all_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull) as file:
        monkeypatch.setattr(sockets, "FIRST_INHERITED", file.fileno())
        with pytest.raises(ConfigError, match="is no socket"):
            inherited_socket(environment())
