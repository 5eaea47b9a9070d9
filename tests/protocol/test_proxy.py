"""`rooms.protocol.proxy`: who is really there."""

from __future__ import annotations

import socket
import struct
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.protocol.proxy import (
    HOPS,
    V1_BYTES,
    V2_BYTES,
    V2_SIGNATURE,
    BadProxyHeader,
    Endpoint,
    Networks,
    ProxyHeader,
    client_behind,
    endpoint_of,
    parse_endpoint,
    parse_proxy_header,
)

V1 = b"PROXY TCP4 203.0.113.7 198.51.100.1 56324 443\r\n"
V1_IPV6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n"
PROXY = Endpoint("10.0.0.1", 5000)
TRUSTED = Networks(["10.0.0.0/8", "2001:db8:ff::/48"])

Header = Literal["x-forwarded-for", "forwarded"]


def v2(kind: int, body: bytes, command: int = 0x21) -> bytes:
    """Return a header of version 2."""
    return V2_SIGNATURE + struct.pack("!BBH", command, kind, len(body)) + body


def v2_ipv4(source: str, port: int, extensions: bytes = b"") -> bytes:
    """Return a header of version 2 for a client with an IPv4 address."""
    addresses = socket.inet_aton(source) + socket.inet_aton("198.51.100.1")
    return v2(0x11, addresses + struct.pack("!HH", port, 443) + extensions)


def v2_ipv6(source: str, port: int) -> bytes:
    """Return a header of version 2 for a client with an IPv6 address."""
    addresses = b"".join(socket.inet_pton(socket.AF_INET6, text) for text in (source, "::1"))
    return v2(0x21, addresses + struct.pack("!HH", port, 443))


# The PROXY protocol.


@pytest.mark.parametrize(
    ("header", "source"),
    [
        (V1, Endpoint("203.0.113.7", 56324)),
        (V1_IPV6, Endpoint("2001:db8::7", 56324)),
        (b"PROXY TCP6 ::ffff:203.0.113.7 ::1 1 2\r\n", Endpoint("203.0.113.7", 1)),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN whatever it is\r\n", None),
        (v2_ipv4("203.0.113.7", 56324), Endpoint("203.0.113.7", 56324)),
        (v2_ipv4("203.0.113.7", 1, extensions=b"\x04\x00\x02ab"), Endpoint("203.0.113.7", 1)),
        (v2_ipv6("2001:db8::7", 56324), Endpoint("2001:db8::7", 56324)),
        (v2_ipv6("::ffff:203.0.113.7", 1), Endpoint("203.0.113.7", 1)),
        (v2(0x00, b""), None),
        (v2(0x31, bytes(216)), None),
        (v2(0x11, bytes(12), command=0x20), None),
        (v2(0x00, b"", command=0x20), None),
    ],
)
@pytest.mark.parametrize("behind", [b"", b"GET / HTTP/1.1\r\n\r\n"])
def test_a_header_names_the_client_and_where_its_own_bytes_begin(
    header: bytes, source: Endpoint | None, behind: bytes
) -> None:
    assert parse_proxy_header(header + behind) == ProxyHeader(source, len(header))


@pytest.mark.parametrize("header", [V1, V1_IPV6, v2_ipv4("203.0.113.7", 1), v2_ipv6("::7", 1)])
def test_a_header_may_come_in_pieces(header: bytes) -> None:
    for size in range(len(header)):
        assert parse_proxy_header(header[:size]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01",
        b"proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n",
        b"PROXY\tTCP4 1.2.3.4 1.2.3.4 1 1\r\n",
        b"PROXY \r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        b"PROXY TCP4 1.2.3.4  1.2.3.4 1 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n",
        b"PROXY TCP4 1.2.3.400 1.2.3.4 1 1\r\n",
        b"PROXY TCP4 1.2.3.4 nowhere 1 1\r\n",
        b"PROXY TCP4 ::1 ::1 1 1\r\n",
        b"PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 -1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 \xb2 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n".ljust(V1_BYTES, b" "),
        b"PROXY UNKNOWN ".ljust(V1_BYTES, b"x") + b"\r\n",
        V2_SIGNATURE + b"\x31\x11\x00\x0c" + bytes(12),
        V2_SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
        V2_SIGNATURE + b"\x21\x41\x00\x0c" + bytes(12),
        V2_SIGNATURE + b"\x21\x13\x00\x0c" + bytes(12),
        V2_SIGNATURE + b"\x21\x11\xff\xff",
        v2(0x11, bytes(11)),
        v2(0x21, bytes(35)),
    ],
)
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(BadProxyHeader):
        parse_proxy_header(data)


@given(data=st.binary(max_size=200) | st.binary(max_size=200).map(V2_SIGNATURE.__add__))
def test_any_bytes_are_a_header_or_its_beginning_or_refused(data: bytes) -> None:
    _check_parse(data)


@given(
    words=st.lists(
        st.sampled_from(["TCP4", "TCP6", "UNKNOWN", "1.2.3.4", "::1", "0", "65536", "\r\n", ""]),
        max_size=8,
    )
)
def test_any_words_are_a_header_or_its_beginning_or_refused(words: list[str]) -> None:
    _check_parse(b"PROXY " + " ".join(words).encode())


def _check_parse(data: bytes) -> None:
    try:
        header = parse_proxy_header(data)
    except BadProxyHeader:
        return
    if header is None:
        assert len(data) < V2_BYTES
    else:
        assert 0 < header.size <= len(data)
        assert parse_proxy_header(data[: header.size]) == header


@given(host=st.ip_addresses(v=4).map(str), port=st.integers(0, 65535), behind=st.binary())
def test_both_versions_say_the_same(host: str, port: int, behind: bytes) -> None:
    line = f"PROXY TCP4 {host} 198.51.100.1 {port} 443\r\n".encode()
    for header in (line, v2_ipv4(host, port)):
        found = parse_proxy_header(header + behind)
        assert found == ProxyHeader(Endpoint(host, port), len(header))


# Addresses.


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("203.0.113.7", Endpoint("203.0.113.7")),
        ("203.0.113.7:80", Endpoint("203.0.113.7", 80)),
        ("2001:db8::7", Endpoint("2001:db8::7")),
        ("[2001:db8::7]", Endpoint("2001:db8::7")),
        ("[2001:DB8::7]:80", Endpoint("2001:db8::7", 80)),
        ("[2001:db8::7]:_hidden", Endpoint("2001:db8::7")),
        ("203.0.113.7:99999", Endpoint("203.0.113.7")),
        ("::ffff:203.0.113.7", Endpoint("203.0.113.7")),
        ("fe80::1%eth0", Endpoint("fe80::1")),
        ("", None),
        ("unknown", None),
        ("_hidden", None),
        ("203.0.113", None),
        ("[203.0.113.7]", None),
        ("[2001:db8::7", None),
        ("example.org", None),
        ("203.0.113.7 ", None),
    ],
)
def test_an_address_may_have_a_port(text: str, endpoint: Endpoint | None) -> None:
    assert parse_endpoint(text) == endpoint


def test_an_address_is_shown_so_that_its_port_can_be_told() -> None:
    shown = [str(Endpoint(host, port)) for host in ("10.0.0.1", "::1") for port in (0, 80)]
    assert shown == ["10.0.0.1", "10.0.0.1:80", "[::1]", "[::1]:80"]


def test_a_peer_on_an_ipv6_socket_may_be_one_of_ipv4() -> None:
    assert endpoint_of("::ffff:203.0.113.7", 80) == Endpoint("203.0.113.7", 80)
    assert endpoint_of("2001:db8::7", 80) == Endpoint("2001:db8::7", 80)
    assert endpoint_of("203.0.113.7", 80) == Endpoint("203.0.113.7", 80)


@pytest.mark.parametrize("host", ["10.9.8.7", "::ffff:10.0.0.1", "2001:db8:ff:1::2"])
def test_networks_hold_their_addresses(host: str) -> None:
    assert host in TRUSTED
    assert host not in Networks()


@pytest.mark.parametrize("host", ["11.0.0.1", "2001:db8::1", "10.0.0", "", "memory"])
def test_networks_hold_no_others(host: str) -> None:
    assert host not in TRUSTED


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "proxy", ""])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"network|host bits"):
        Networks([text])


# The headers.


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:80", "203.0.113.7:80"),
        ("2001:db8::7", "[2001:db8::7]"),
        ("6.6.6.6, 203.0.113.7", "203.0.113.7"),
        ("6.6.6.6,203.0.113.7 , 10.0.0.2,10.0.0.3", "203.0.113.7"),
        ("10.0.0.2", "10.0.0.2"),
        ("rubbish, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, unknown", "10.0.0.1:5000"),
        ("203.0.113.7, unknown, 10.0.0.2", "10.0.0.2"),
        ("203.0.113.7,", "10.0.0.1:5000"),
        ("", "10.0.0.1:5000"),
    ],
)
def test_the_client_is_the_last_that_is_no_trusted_proxy(value: str, client: str) -> None:
    headers = {"x-forwarded-for": value, "forwarded": "for=6.6.6.6"}
    assert str(client_behind(PROXY, headers, "x-forwarded-for", TRUSTED)) == client


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("for=203.0.113.7", "203.0.113.7"),
        ("For=203.0.113.7;proto=https;by=10.0.0.1", "203.0.113.7"),
        ('proto=https; for = "[2001:db8::7]:4711"', "[2001:db8::7]:4711"),
        ('for=6.6.6.6, for=203.0.113.7, for="10.0.0.2:80"', "203.0.113.7"),
        ('for="6.6.6.6, for=203.0.113.7', "203.0.113.7"),
        ("for=unknown", "10.0.0.1:5000"),
        ("for=_hidden", "10.0.0.1:5000"),
        ("by=203.0.113.7", "10.0.0.1:5000"),
        ('for="203.0.113.7', "10.0.0.1:5000"),
    ],
)
def test_the_standard_header_says_the_same(value: str, client: str) -> None:
    headers = {"forwarded": value, "x-forwarded-for": "6.6.6.6"}
    assert str(client_behind(PROXY, headers, "forwarded", TRUSTED)) == client


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded"])
def test_nobody_is_believed_who_is_not_trusted(header: str) -> None:
    headers = {"x-forwarded-for": "6.6.6.6", "forwarded": "for=6.6.6.6"}
    stranger = Endpoint("203.0.113.7", 1)
    assert client_behind(stranger, headers, header, TRUSTED) == stranger
    assert client_behind(PROXY, headers, header, Networks()) == PROXY
    assert client_behind(PROXY, {}, header, TRUSTED) == PROXY


def test_an_endless_chain_is_not_followed_to_its_end() -> None:
    chain = ", ".join(["6.6.6.6", *["10.0.0.2"] * HOPS])
    found = client_behind(PROXY, {"x-forwarded-for": chain}, "x-forwarded-for", TRUSTED)
    assert found.host == "10.0.0.2"


@given(claim=st.text(max_size=60), header=st.sampled_from(["x-forwarded-for", "forwarded"]))
def test_no_claim_of_a_client_outweighs_what_its_proxy_wrote(claim: str, header: str) -> None:
    said = "203.0.113.7" if header == "x-forwarded-for" else "for=203.0.113.7"
    headers = {header: f"{claim}, {said}"}
    assert client_behind(PROXY, headers, header, TRUSTED).host == "203.0.113.7"


@given(claim=st.text(max_size=60), header=st.sampled_from(["x-forwarded-for", "forwarded"]))
def test_any_claim_names_an_address(claim: str, header: str) -> None:
    found = client_behind(PROXY, {header: claim}, header, TRUSTED)
    assert parse_endpoint(found.host) == Endpoint(found.host)
