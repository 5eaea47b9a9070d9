"""Tokens that nobody has signed, and issuers that do not say by which keys, over real sockets."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from rooms import JWT, App
from rooms.server.tokens import fetch
from rooms.testing import Refused
from tests.server.hostile.town import town
from tests.server.rules import code_of
from tests.server.signing import bearer, offered
from tests.server.tokens.keys import forged, jwk, jwks, public_pem, signed

Answer = Callable[[trio.SocketStream], Awaitable[None]]


@asynccontextmanager
async def issuer(answer: Answer) -> AsyncIterator[tuple[str, list[None]]]:
    """Serve keys while the block runs; gives their URL, and an entry for each who asked."""
    asked: list[None] = []

    async def serve_one(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        asked.append(None)
        try:
            await answer(stream)
        except trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve_one, [listener])
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}/keys", asked
        nursery.cancel_scope.cancel()


def saying(body: bytes) -> Answer:
    """Return an issuer that answers as it should."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return lambda stream: stream.send_all(head + body)


def keys() -> bytes:
    return jwks(jwk("rsa", kid="k1"), jwk("p256", kid="k2"))


def token(kind: str = "rsa", *, number: int = 0, kid: str = "k1", **claims: Any) -> str:
    says: dict[str, Any] = {"exp": time.time() + 60, "aud": "rooms"} | claims
    return signed(kind, number=number, header={"kid": kid}, **says)


def forgery(alg: str, secret: bytes | None = None, **header: Any) -> str:
    return forged({"alg": alg, **header}, secret, exp=time.time() + 60, aud="rooms")


FORGERIES: dict[str, Callable[[], str]] = {
    "alg none": lambda: forgery("none"),
    "alg None": lambda: forgery("None"),
    "alg nOnE with a key's name": lambda: forgery("nOnE", kid="k1"),
    "no alg at all": lambda: forged({}, exp=time.time() + 60, aud="rooms"),
    "HS256 with the public key": lambda: forgery("HS256", public_pem("rsa").encode()),
    "HS256 with the public key and its name": lambda: forgery(
        "HS256", public_pem("rsa").encode(), kid="k1"
    ),
    "HS256 with the key set": lambda: forgery("HS256", keys(), kid="k1"),
    "HS256 with nothing": lambda: forgery("HS256", b"", kid="k1"),
    "RS256 that is an HMAC": lambda: forgery("RS256", public_pem("rsa").encode(), kid="k1"),
    "a key of its own": lambda: forgery("RS256", b"", jwk=jwk("rsa", 1), kid="k1"),
    "wrong audience": lambda: token(aud="elsewhere"),
    "no audience": lambda: token(aud=None),
    "expired": lambda: token(exp=time.time() - 60),
    "not yet valid": lambda: token(nbf=time.time() + 60),
    "issued in the future": lambda: token(iat=time.time() + 60),
    "without an end": lambda: token(exp=None),
    "an end that is none": lambda: token(exp="never"),
    "unknown kid": lambda: token(kid="k3"),
    "a kid that is a path": lambda: token(kid="../../k1"),
    "another key's kid": lambda: token(kid="k2"),
    "a stranger's key under our kid": lambda: token(number=1),
    "100 KB": lambda: token(padding="x" * 100_000),
    "nothing": lambda: "",
}


async def test_no_forged_token_opens_anything() -> None:
    async with issuer(saying(keys())) as (url, asked):
        app = App(relay=True, auth=JWT(jwks_url=url, audience="rooms"))
        generous: dict[str, Any] = {
            "http": False,
            "handshakes_per_address": 10_000,
            "message_bytes": 1_000_000,
        }
        async with town(app, **generous) as place:
            for what, forge in FORGERIES.items():
                said = forge()
                assert await place.status(bearer(said)) in (401, 431), what
                if len(said) < 10_000:
                    assert await place.status(f"Sec-WebSocket-Protocol: {offered(said)}\r\n") == 401
                late = await place.enter()
                assert await code_of(late, type="auth", token=said) == "unauthorized", what
                assert await code_of(late, type="join", room="r") == "unauthorized", what
            assert (app.clients, app.room_names) == ({}, [])
            assert await place.status(bearer(token())) == 101
            assert await place.status(bearer(token("p256", kid="k2"))) == 101
        assert len(asked) == 1  # no forgery has the issuer asked again


async def test_a_name_that_issuers_share_opens_nothing_of_the_others() -> None:
    sets = [saying(jwks(jwk("rsa", number, kid="k"))) for number in range(2)]
    async with issuer(sets[0]) as (ours, _), issuer(sets[1]) as (theirs, _):
        app = App(auth=[JWT(jwks_url=ours, issuer="us"), JWT(jwks_url=theirs, issuer="them")])
        async with town(app, http=False) as place:
            exp = time.time() + 60
            for number, name, status in ((0, "us", 101), (1, "us", 401), (1, "them", 101)):
                said = signed("rsa", number=number, header={"kid": "k"}, iss=name, exp=exp)
                assert await place.status(bearer(said)) == status


async def _hang(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


async def _stop(stream: trio.SocketStream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{")
    await trio.sleep_forever()


async def _pour(stream: trio.SocketStream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    while True:
        await stream.send_all(b" " * 65536)


async def _leave(stream: trio.SocketStream) -> None:
    pass


@pytest.mark.parametrize("answer", [_hang, _stop, _pour, _leave])
async def test_an_issuer_that_is_slow_huge_or_down_lets_nobody_in(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "FETCH_SECONDS", 0.2)
    async with issuer(answer) as (url, asked):
        async with town(App(auth=JWT(jwks_url=url)), http=False) as place:
            with pytest.raises(Refused) as caught:
                await place.knock(bearer(token()))
            assert caught.value.status == 503
            assert b"\r\nRetry-After: " in caught.value.answer
            assert await place.status(bearer(token())) == 503
        assert len(asked) == 1


async def test_an_issuer_that_redirects_is_not_followed() -> None:
    async with issuer(saying(keys())) as (evil, followed):
        moved = f"HTTP/1.1 302 Found\r\nLocation: {evil}\r\nContent-Length: 0\r\n\r\n".encode()
        async with issuer(lambda stream: stream.send_all(moved)) as (url, asked):
            async with town(App(auth=JWT(jwks_url=url, audience="rooms")), http=False) as place:
                assert await place.status(bearer(token())) == 503
            assert (len(asked), followed) == (1, [])
