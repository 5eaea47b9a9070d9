"""`rooms.protocol.origin`: which pages may talk to this server."""

from __future__ import annotations

import pytest

from rooms.protocol.origin import Origins, Site, same_origin, site_of

LISTED = Origins(
    (
        "https://chat.example.org",
        "http://localhost:5173",
        "https://*.example.net",
        "capacitor://localhost",
    )
)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://example.org", "example.org"),
        ("https://example.org", "example.org"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("HTTP://Example.ORG", "example.org"),
        ("http://example.org", "EXAMPLE.org"),
        ("http://example.org", "example.org:80"),
        ("https://example.org", "example.org:443"),
        ("https://example.org:443", "example.org"),
        ("http://example.org:080", "example.org"),
    ],
)
def test_a_page_of_this_server_may(origin: str, host: str) -> None:
    assert same_origin(origin, Site(host, secure=False))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example", "example.org"),
        ("http://example.org.evil.example", "example.org"),
        ("http://evilexample.org", "example.org"),
        ("http://evil.example/example.org", "example.org"),
        ("http://example.org@evil.example", "example.org"),
        ("http://evil.example#@example.org", "example.org"),
        ("http://example.org:8001", "example.org:8000"),
        ("http://example.org", "example.org:8000"),
        ("http://example.org:8000", "example.org"),
        ("https://example.org", "example.org:80"),
        ("http://sub.example.org", "example.org"),
        ("ws://example.org", "example.org"),
        ("http://example.org http://example.org", "example.org"),
        ("http://example.org, http://example.org", "example.org"),
        ("http://exampl\u00e9.org", "exampl\u00e9.org"),
        ("null", "null"),
        ("", "example.org"),
        ("", ""),
        ("http://", ""),
        ("example.org", "example.org"),
        ("file://", ""),
    ],
)
def test_a_page_from_anywhere_else_may_not(origin: str, host: str) -> None:
    assert not same_origin(origin, Site(host, secure=False))


def test_a_page_in_clear_text_is_a_stranger_to_a_site_with_tls() -> None:
    site = Site("example.org", secure=True)
    assert same_origin("https://example.org", site)
    assert not same_origin("http://example.org", site)
    assert not same_origin("http://example.org:443", site)


@pytest.mark.parametrize(
    "origin",
    [
        "https://chat.example.org",
        "https://chat.example.org:443",
        "HTTPS://CHAT.example.org",
        "http://localhost:5173",
        "https://a.example.net",
        "https://a.b.example.net",
        "capacitor://localhost",
    ],
)
def test_a_listed_origin_is_in_the_list(origin: str) -> None:
    assert origin in LISTED


@pytest.mark.parametrize(
    "origin",
    [
        "http://chat.example.org",
        "https://chat.example.org:8443",
        "https://chat.example.org.evil.example",
        "https://evilchat.example.org",
        "http://localhost",
        "https://example.net",
        "https://.example.net",
        "https://evilexample.net",
        "https://example.net.evil.example",
        "http://a.example.net",
        "https://a.example.net:8443",
        "https://*.example.net.evil.example",
        "null",
        "",
    ],
)
def test_what_only_looks_like_it_is_not(origin: str) -> None:
    assert origin not in LISTED


def test_pages_without_an_origin_of_their_own_are_listed_by_that_word_alone() -> None:
    assert "null" in Origins(("null",))
    assert "https://null" not in Origins(("null",))
    assert not Origins()


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("*", "list those that may"),
        ("chat.example.org", "such as 'https://chat.example.org'"),
        ("https://chat.example.org/", "alone"),
        ("https://chat.example.org/path", "alone"),
        ("https://ana@example.org", "alone"),
        ("https://chat.*.org", "alone"),
        ("https://*", "alone"),
        ("https://*.*.org", "alone"),
        ("https://example.org:99999", "alone"),
        ("https://müller.example", "ASCII"),
        ("", "scheme"),
    ],
)
def test_what_is_no_origin_is_told_with_what_to_write(text: str, advice: str) -> None:
    with pytest.raises(ValueError, match="is not an origin") as caught:
        Origins(("https://fine.example", text))
    assert repr(text) in str(caught.value)
    assert advice in str(caught.value)


@pytest.mark.parametrize("text", ["https://*.example.org", "null", "*"])
def test_a_list_may_be_of_single_origins_only(text: str) -> None:
    with pytest.raises(ValueError, match="list each by itself"):
        Origins((text,), subdomains=False)


@pytest.mark.parametrize(
    ("headers", "header", "site"),
    [
        ({}, "x-forwarded-for", Site("inner", False)),
        ({"x-forwarded-proto": "https"}, "x-forwarded-for", Site("inner", True)),
        ({"x-forwarded-host": "a.example"}, "x-forwarded-for", Site("a.example", False)),
        (
            {"x-forwarded-proto": "http, HTTPS", "x-forwarded-host": "evil.example, a.example"},
            "x-forwarded-for",
            Site("a.example", True),
        ),
        ({"x-forwarded-proto": "https"}, "forwarded", Site("inner", False)),
        (
            {"forwarded": 'host=evil;proto=http, for=10.0.0.1;proto=https;host="a.example:444"'},
            "forwarded",
            Site("a.example:444", True),
        ),
    ],
)
def test_a_trusted_proxy_says_what_it_was_asked_for(
    headers: dict[str, str], header: str, site: Site
) -> None:
    assert site_of({"host": "inner", **headers}, tls=False, forwarded=header) == site


def test_anybody_else_says_nothing_but_the_host() -> None:
    headers = {"host": "a.example", "x-forwarded-host": "evil.example", "x-forwarded-proto": "http"}
    assert site_of(headers, tls=True) == Site("a.example", True)
