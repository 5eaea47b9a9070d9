"""`rooms.protocol.paths`: which paths fit a pattern, and what they name."""

from __future__ import annotations

import pytest

from rooms.protocol.paths import PathPattern


@pytest.mark.parametrize(
    ("pattern", "path", "parameters"),
    [
        ("/ws", "/ws", {}),
        ("/ws", "/ws/", None),
        ("/ws", "/wss", None),
        ("/w.", "/ws", None),
        ("/fdw/{conn_id}", "/fdw/ana", {"conn_id": "ana"}),
        ("/fdw/{conn_id}", "/fdw/žofie 1", {"conn_id": "žofie 1"}),
        ("/fdw/{conn_id}", "/fdw/a\nb", {"conn_id": "a\nb"}),
        ("/fdw/{conn_id}", "/fdw/", None),
        ("/fdw/{conn_id}", "/fdw/a/b", None),
        ("/{a}/x/{b}", "/1/x/2", {"a": "1", "b": "2"}),
        ("/{a}-{b}", "/1-2-3", {"a": "1-2", "b": "3"}),
        ("/r/{+room}", "/r/chat/1", {"room": "chat/1"}),
        ("/r/{+room}", "/r/", None),
    ],
)
def test_a_path_fits_its_pattern_or_not(
    pattern: str, path: str, parameters: dict[str, str] | None
) -> None:
    assert PathPattern(pattern).match(path) == parameters


def test_the_names_of_the_parameters_are_known() -> None:
    assert PathPattern("/{a}/{+b}").names == ("a", "b")


@pytest.mark.parametrize(
    "pattern", ["", "ws", "/{a}/{a}", "/{}", "/{a", "/a}", "/{1}", "/{a:int}", "/{+a}/x"]
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="the path "):
        PathPattern(pattern)
