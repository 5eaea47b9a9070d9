"""`rooms.server.tokens.jwks`: published keys, fetched rarely and kept for a while."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock

from rooms.errors import Refused
from rooms.server.tokens.fetch import FETCH_SECONDS, FetchError
from rooms.server.tokens.jwks import FRESH_SECONDS, PAUSE_SECONDS, STALE_SECONDS, RemoteKeys
from tests.server.tokens.keys import jwk, jwks

ONE = jwks(jwk("p256", 0, kid="1"))
TWO = jwks(jwk("p256", 1, kid="2"))


class Issuer:
    """Publishes keys, or fails to; counts how often it is asked."""

    def __init__(self, *answers: bytes | Exception, seconds: float = 0) -> None:
        self.answers = list(answers)
        self.seconds = seconds
        self.asked = 0

    async def fetch(self) -> bytes:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        with trio.move_on_after(self.seconds):
            await trio.sleep_forever()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def keys(self) -> RemoteKeys:
        return RemoteKeys(self.fetch, "https://id.example/keys")


async def names(keys: RemoteKeys, key_id: str | None = "1", algorithm: str = "ES256") -> list[str]:
    return [str(key.id) for key in await keys.find(key_id, algorithm)]


async def test_nothing_is_fetched_before_a_token_comes(autojump_clock: MockClock) -> None:
    issuer = Issuer(ONE)
    keys = issuer.keys()
    assert issuer.asked == 0
    assert await names(keys) == ["1"]


async def test_a_set_is_kept_while_it_is_fresh(autojump_clock: MockClock) -> None:
    issuer = Issuer(ONE)
    keys = issuer.keys()
    for _ in range(3):
        assert await names(keys) == ["1"]
        await trio.sleep(FRESH_SECONDS / 3 - 1)
    assert issuer.asked == 1
    await trio.sleep(4)
    assert await names(keys) == ["1"]
    assert issuer.asked == 2


async def test_a_new_key_is_found_soon(autojump_clock: MockClock) -> None:
    issuer = Issuer(ONE, TWO)
    keys = issuer.keys()
    await names(keys)
    await trio.sleep(PAUSE_SECONDS)
    assert await names(keys, "2") == ["2"]
    assert await names(keys, "1") == []


async def test_a_flood_of_unknown_names_is_no_flood_of_fetches(autojump_clock: MockClock) -> None:
    issuer = Issuer(ONE)
    keys = issuer.keys()
    for number in range(1000):
        assert await names(keys, f"unknown {number}") == []
        await trio.sleep(0.1)
    assert issuer.asked == 100 / PAUSE_SECONDS


async def test_an_algorithm_that_no_key_has_is_no_reason_to_ask_again_and_again(
    autojump_clock: MockClock,
) -> None:
    issuer = Issuer(ONE)
    keys = issuer.keys()
    for _ in range(100):
        assert await names(keys, "1", "HS256") == []
    assert issuer.asked == 1


async def test_many_who_come_at_once_share_one_fetch(autojump_clock: MockClock) -> None:
    issuer = Issuer(ONE, seconds=1)
    keys = issuer.keys()
    found: list[list[str]] = []

    async def find(key_id: str) -> None:
        found.append(await names(keys, key_id))

    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(find, str(number % 2))
    assert issuer.asked == 1
    assert found.count(["1"]) == found.count([]) == 50


async def test_who_has_a_known_key_does_not_wait_for_a_slow_issuer(
    autojump_clock: MockClock,
) -> None:
    issuer = Issuer(ONE, seconds=FETCH_SECONDS)
    keys = issuer.keys()
    await names(keys)
    await trio.sleep(FRESH_SECONDS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(names, keys)
        await trio.testing.wait_all_tasks_blocked()
        before = trio.current_time()
        assert await names(keys) == ["1"]
        assert trio.current_time() == before


async def test_a_client_that_goes_away_does_not_waste_the_fetch(autojump_clock: MockClock) -> None:
    issuer = Issuer(ONE, seconds=FETCH_SECONDS)
    keys = issuer.keys()
    with trio.move_on_after(1):
        await names(keys)
    assert await names(keys) == ["1"]
    assert issuer.asked == 1


# An issuer that is down.


async def test_old_keys_hold_for_a_while_if_the_issuer_is_down(autojump_clock: MockClock) -> None:
    issuer = Issuer(ONE, FetchError("status 500"))
    keys = issuer.keys()
    await names(keys)
    with capture_logs() as logs:
        await trio.sleep(STALE_SECONDS - 1)
        assert await names(keys) == ["1"]
    assert [(each["event"], each["error"]) for each in logs] == [
        ("keys of tokens not fetched", "status 500")
    ]
    await trio.sleep(2)
    with pytest.raises(Refused) as caught:
        await names(keys)
    assert caught.value.status == 503


async def test_an_issuer_that_is_down_is_asked_now_and_then_only(autojump_clock: MockClock) -> None:
    issuer = Issuer(FetchError("no connection"), seconds=FETCH_SECONDS)
    keys = issuer.keys()
    before = trio.current_time()
    for _ in range(100):
        with pytest.raises(Refused, match="at the moment"):
            await names(keys)
        await trio.sleep(1)
    assert issuer.asked == pytest.approx(
        (trio.current_time() - before) / (PAUSE_SECONDS + FETCH_SECONDS), abs=1
    )


async def test_it_serves_again_when_the_issuer_is_back(autojump_clock: MockClock) -> None:
    issuer = Issuer(FetchError("no connection"), ONE)
    keys = issuer.keys()
    with pytest.raises(Refused):
        await names(keys)
    await trio.sleep(PAUSE_SECONDS)
    assert await names(keys) == ["1"]


@pytest.mark.parametrize("answer", [b"<html>", b"", b"[]", b'{"keys":[]}', b'{"keys":[{}]}'])
async def test_what_is_no_key_set_does_not_replace_one(
    answer: bytes, autojump_clock: MockClock
) -> None:
    issuer = Issuer(ONE, answer)
    keys = issuer.keys()
    await names(keys)
    await trio.sleep(FRESH_SECONDS)
    assert await names(keys) == ["1"]
    assert issuer.asked == 2


async def test_the_log_names_the_place_without_its_query(autojump_clock: MockClock) -> None:
    with capture_logs() as logs, pytest.raises(Refused):
        await names(Issuer(FetchError("status 500")).keys())
    assert logs[0]["url"] == "https://id.example/keys"


# Issuers.


async def test_no_two_issuers_share_a_key(autojump_clock: MockClock) -> None:
    ours = Issuer(jwks(jwk("p256", 0, kid="same"))).keys()
    theirs = Issuer(jwks(jwk("p256", 1, kid="same"))).keys()
    (one,), (other,) = await ours.find("same", "ES256"), await theirs.find("same", "ES256")
    assert one.material.public_numbers() != other.material.public_numbers()


async def test_a_token_without_a_name_tries_a_few_keys_but_not_all(
    autojump_clock: MockClock,
) -> None:
    few = Issuer(jwks(*(jwk("p256", kid=str(number)) for number in range(8)))).keys()
    many = Issuer(jwks(*(jwk("p256", kid=str(number)) for number in range(9)))).keys()
    assert len(await few.find(None, "ES256")) == 8
    assert await many.find(None, "ES256") == []
    assert len(await many.find("8", "ES256")) == 1
