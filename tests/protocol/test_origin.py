"""`rooms.protocol.origin`: which pages may open a WebSocket."""

from __future__ import annotations

import pytest

from rooms.protocol.origin import origin_allowed

LISTED = ("https://chat.example.org", "null")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "example.org"),
        (None, ""),
        ("http://example.org", "example.org"),
        ("https://example.org", "example.org"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("HTTP://Example.ORG", "example.org"),
        ("http://example.org", "EXAMPLE.org"),
        ("https://chat.example.org", "somewhere.else"),
        ("null", "example.org"),
    ],
)
def test_no_browser_the_same_host_and_listed_origins_are_allowed(
    origin: str | None, host: str
) -> None:
    assert origin_allowed(origin, host, LISTED)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example", "example.org"),
        ("http://example.org.evil.example", "example.org"),
        ("http://evil.example/example.org", "example.org"),
        ("http://example.org:8001", "example.org:8000"),
        ("http://sub.example.org", "example.org"),
        ("http://chat.example.org", "somewhere.else"),
        ("https://chat.example.org.evil.example", "somewhere.else"),
        ("", "example.org"),
        ("", ""),
        ("http://", ""),
        ("example.org", "example.org"),
        ("file://", ""),
    ],
)
def test_a_page_from_anywhere_else_is_not(origin: str, host: str) -> None:
    assert not origin_allowed(origin, host, LISTED)


def test_a_page_without_an_origin_of_its_own_is_not_allowed_unless_listed() -> None:
    assert not origin_allowed("null", "example.org", ())
