"""`rooms.brokers.redis_url`: what a broker's URL says, and what it never tells."""

from __future__ import annotations

import pytest

from rooms.brokers.redis_names import Names
from rooms.brokers.redis_url import parse_redis_url
from rooms.brokers.urls import make_broker
from rooms.config import Settings
from rooms.errors import ConfigError

SECRET = "s3cr:t@/"
QUOTED = "s3cr%3At%40%2F"


@pytest.mark.parametrize(
    ("text", "kind", "addresses", "db"),
    [
        ("redis://host", "single", [("host", 6379)], 0),
        ("redis://host:7000/2", "single", [("host", 7000)], 2),
        ("redis://[::1]:7000", "single", [("::1", 7000)], 0),
        ("redis://[::1]", "single", [("::1", 6379)], 0),
        ("rediss://host", "single", [("host", 6379)], 0),
        ("unix:///run/valkey%20one.sock?db=3", "single", [("/run/valkey one.sock", 0)], 3),
        ("redis+sentinel://a,b:7/main/1", "sentinel", [("a", 26379), ("b", 7)], 1),
        ("redis+cluster://a:1,b:2", "cluster", [("a", 1), ("b", 2)], 0),
    ],
)
def test_a_url_names_servers_and_a_database(
    text: str, kind: str, addresses: list[tuple[str, int]], db: int
) -> None:
    url = parse_redis_url(text)
    assert (url.kind, list(url.addresses), url.db) == (kind, addresses, db)
    assert url.tls is text.startswith("rediss")


def test_user_and_password_are_unquoted() -> None:
    url = parse_redis_url(f"redis://ana:{QUOTED}@host")
    assert (url.user, url.password) == ("ana", SECRET)
    assert parse_redis_url(f"redis://:{QUOTED}@host").password == SECRET


def test_options_follow_the_question_mark() -> None:
    options = parse_redis_url("redis+cluster://h?prefix=chat&ttl=60&probe=1&filters=true").options
    assert (options.prefix, options.ttl, options.probe, options.filters) == ("chat", 60, 1, True)


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ("host:x", "not host:port"),
        ("host:0", "not host:port"),
        ("", "not host:port"),
        ("host/x", "not the number of a database"),
        ("a,b", "several hosts need"),
        ("host?prefix={a}", "a prefix is"),
        ("host?colour=red", "unknown field"),
        ("host?ttl=0", "ttl is 1 to"),
        ("host?ttl=inf", "ttl is 1 to"),
        ("host?probe=1e9", "probe 0.01 to"),
        ("host?db=1", "named by the path"),
    ],
)
def test_what_cannot_be_used_is_refused_without_its_password(rest: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        make_broker(f"redis://ana:{SECRET}@{rest}")
    assert "s3cr" not in str(caught.value)


@pytest.mark.parametrize("url", ["redis+cluster://h/1", "redis+sentinel://h", "unix://x/y"])
def test_what_a_kind_of_engine_does_not_have_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        make_broker(url)


def test_no_password_is_shown() -> None:
    text = f"redis://ana:{QUOTED}@host"
    shown = [repr(parse_redis_url(text)), repr(Settings(broker=text)), str(make_broker(text))]
    assert not any("s3cr" in each for each in shown)
    with pytest.raises(ConfigError) as caught:
        make_broker(f"other://ana:{QUOTED}@host")
    assert "s3cr" not in str(caught.value)


@pytest.mark.parametrize("room", ["a", "a/{b}", "}", "{}", "}{", "%7D"])
def test_everything_of_a_room_has_the_same_hash_tag(room: str) -> None:
    names = Names("rooms")
    tags = {
        name.partition("{")[2].partition("}")[0]
        for name in (names.room("n", room), names.room("s", room), names.key(room, "k"))
    }
    assert len(tags) == 1
    assert tags != {""}


def test_different_rooms_have_different_names() -> None:
    names = Names("rooms")
    assert len({names.room("n", room) for room in ("}", "%7D", "{", "a}", "a%7D", "a")}) == 6
