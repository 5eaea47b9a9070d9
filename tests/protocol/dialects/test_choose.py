"""`rooms.protocol.dialects`: which dialect a handshake asks for, and which there are."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from rooms.errors import ConfigError
from rooms.protocol.commands import Message, Ping
from rooms.protocol.dialects import NATIVE, Dialects, find_dialects
from rooms.protocol.dialects.base import Dialect, Voice
from rooms.protocol.dialects.msgpack import NativeMsgpack
from rooms.protocol.dialects.native import NativeJson
from rooms.protocol.foreign import Said

native = Dialects()


class Mute(Dialect):
    """Says nothing, at any path, under any subprotocol."""

    name = "mute"

    def __init__(self, *paths: str, subprotocols: tuple[str, ...] = ()) -> None:
        self.paths = paths  # type: ignore[misc]  # of the class, but for this test
        self.subprotocols = subprotocols  # type: ignore[misc]

    def decode(self, payload: bytes, binary: bool) -> Said:
        return Ping()

    def encode(self, message: Message) -> bytes:
        return b""


class Named(Mute):
    """Knows its connections by the path."""

    def open(self, parameters: Mapping[str, str]) -> Voice:
        return Voice(self.decode, parameters["who"])


@pytest.mark.parametrize(
    ("offered", "kind", "selected"),
    [
        ((), NativeJson, None),
        (("rooms.v1.json",), NativeJson, "rooms.v1.json"),
        (("rooms.v1.msgpack",), NativeMsgpack, "rooms.v1.msgpack"),
        (("rooms.v1.msgpack", "rooms.v1.json"), NativeMsgpack, "rooms.v1.msgpack"),
        (("something.else", "rooms.v1.json"), NativeJson, "rooms.v1.json"),
        (("something.else",), NativeJson, None),
        (("ROOMS.V1.JSON",), NativeJson, None),
    ],
)
def test_the_path_chooses_and_a_subprotocol_is_selected_only_if_offered(
    offered: tuple[str, ...], kind: type[Dialect], selected: str | None
) -> None:
    chosen = native.choose("/ws", offered)
    assert chosen is not None
    assert isinstance(chosen.dialect, kind)
    assert chosen.subprotocol == selected


@pytest.mark.parametrize("path", ["/", "/WS", "/ws/", "/wss", "", "/ws/x"])
def test_no_dialect_is_spoken_on_another_path(path: str) -> None:
    assert native.choose(path, ("rooms.v1.json",)) is None


def test_a_path_can_name_what_is_particular_to_a_connection() -> None:
    chosen = Dialects([Named("/mute/{who}")]).choose("/mute/ana", ())
    assert chosen is not None
    assert chosen.open().name == "ana"
    assert chosen.open("who=ben&x=%2F").name == "ana"


def test_a_path_without_parameters_outweighs_one_with() -> None:
    general, special = Mute("/{any}"), Mute("/ws")
    there = Dialects([general, special])
    for path, wanted in (("/ws", special), ("/other", general)):
        chosen = there.choose(path, ())
        assert chosen is not None
        assert chosen.dialect is wanted


def test_a_pattern_is_not_taken_for_a_path() -> None:
    chosen = Dialects([Named("/mute/{who}")]).choose("/mute/{who}", ())
    assert chosen is not None
    assert chosen.parameters == {"who": "{who}"}


def test_connections_of_which_nothing_is_particular_share_what_is_made_of_them() -> None:
    chosen = native.choose("/ws", ())
    assert chosen is not None
    assert chosen.open() is chosen.open()


@pytest.mark.parametrize("subprotocols", [(), ("a",)])
def test_two_dialects_cannot_mean_the_same_handshake(subprotocols: tuple[str, ...]) -> None:
    first = Mute("/x", subprotocols=("a", "b"))
    with pytest.raises(ValueError, match="both speak at /x"):
        Dialects([first, Mute("/x", subprotocols=subprotocols)])


def test_dialects_are_found_by_name_or_are_ones_own() -> None:
    own = Mute("/own")
    assert find_dialects(["native", own]) == [*NATIVE, own]
    assert find_dialects(["mute"], known=[own]) == [own]
    assert find_dialects(["native", "native"]) == list(NATIVE)


def test_a_dialect_that_there_is_not_is_a_mistake_of_configuration() -> None:
    with pytest.raises(ConfigError, match=r"no dialect 'klingon', only native"):
        find_dialects(["klingon"])
