"""`rooms.protocol.dialects`: which dialect a handshake asks for."""

from __future__ import annotations

import pytest

from rooms.protocol.dialects import DIALECTS, choose
from rooms.protocol.dialects.native import NativeJson


@pytest.mark.parametrize(
    ("offered", "selected"),
    [
        ((), None),
        (("rooms.v1.json",), "rooms.v1.json"),
        (("something.else", "rooms.v1.json"), "rooms.v1.json"),
        (("something.else",), None),
        (("ROOMS.V1.JSON",), None),
    ],
)
def test_the_path_chooses_and_a_subprotocol_is_selected_only_if_offered(
    offered: tuple[str, ...], selected: str | None
) -> None:
    chosen = choose("/ws", offered)
    assert chosen is not None
    dialect, subprotocol = chosen
    assert isinstance(dialect, NativeJson)
    assert subprotocol == selected


@pytest.mark.parametrize("path", ["/", "/WS", "/ws/", "/wss", "", "/ws/x"])
def test_no_dialect_is_spoken_on_another_path(path: str) -> None:
    assert choose(path, ("rooms.v1.json",)) is None


def test_no_two_dialects_share_a_path_and_a_subprotocol() -> None:
    names = [(dialect.path, name) for dialect in DIALECTS for name in dialect.subprotocols]
    assert len(names) == len(set(names))
