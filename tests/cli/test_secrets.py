"""No secret and no token shows up in what a server writes, nor in the list of processes."""

from __future__ import annotations

import base64

import pytest
import trio

from rooms import JWT
from rooms.testing import TestClient
from rooms.testing.client import Refused
from tests.cli.processes import START_SECONDS, serving
from tests.server.tokens.keys import SECRET, forged, jwk, jwks, signed

ADMIN_TOKEN = "admin-token-that-nobody-may-see"
KEY = "a query that nobody may see".replace(" ", "-")


def bearer(token: str) -> str:
    return f"Authorization: Bearer {token}\r\n"


def subprotocol(token: str) -> str:
    part = base64.urlsafe_b64encode(token.encode()).rstrip(b"=").decode()
    return f"Sec-WebSocket-Protocol: rooms.v1.json, rooms.token.{part}\r\n"


async def dial(port: int) -> TestClient:
    return TestClient(await trio.open_tcp_stream("127.0.0.1", port))


async def refused(port: int, headers: str, path: str = "/ws") -> str:
    client = await dial(port)
    with pytest.raises(Refused) as caught:
        await client.handshake(path, headers)
    await client.stream.aclose()
    return str(caught.value)


async def said(port: int, token: str) -> str:
    """Sign in by a message; return the answer."""
    client = await dial(port)
    await client.handshake()
    await client.welcome()
    answer = await client.request(type="auth", token=token)
    await client.stream.aclose()
    return str(answer)


async def metrics(port: int) -> str:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    request = f"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{bearer(ADMIN_TOKEN)}\r\n"
    async with stream:
        await stream.send_all(request.encode())
        return b"".join([piece async for piece in stream]).decode()


async def drain(stream: trio.abc.ReceiveStream | None) -> str:
    assert stream is not None
    with trio.fail_after(START_SECONDS):
        return b"".join([bytes(piece) async for piece in stream]).decode()


async def test_a_server_writes_no_secret_and_no_token() -> None:
    good = JWT(SECRET).make("u17", ttl=60)
    wrong = {
        "expired": signed(exp=5),
        "unsigned": forged({"alg": "none"}),
        "forged": forged({"alg": "HS256"}, b"x" * 32, sub="admin"),
        "opaque": "opaque-token-that-nobody-may-see",
        "malformed": forged({"alg": "HS256", "kid": "a\r\nb"}, SECRET.encode(), sub="x\r\ny"),
    }
    written = []
    async with serving(
        "--log-level", "debug", ROOMS_JWT_SECRET=SECRET, ROOMS_ADMIN_TOKEN=ADMIN_TOKEN
    ) as (process, port, printed):
        for token in wrong.values():
            written.append(await refused(port, bearer(token)))
            written.append(await refused(port, subprotocol(token)))
            written.append(await said(port, token))
        client = await dial(port)
        await client.handshake(headers=bearer(good))
        written.append(str(await client.welcome()))
        await client.close()
        written.append(await metrics(port))
        written.append(await trio.Path(f"/proc/{process.pid}/cmdline").read_text())
        process.terminate()
        written += [printed, await drain(process.stdout), await drain(process.stderr)]
    shown = "\n".join(written)
    assert "u17" in shown
    assert "expired" in shown
    for secret in (SECRET, ADMIN_TOKEN, good, *wrong.values()):
        parts = [secret, *(part for part in secret.split(".") if len(part) > 20)]
        assert not [part for part in parts if part in shown]


async def test_a_server_fetches_its_keys_and_shows_no_query_of_the_url() -> None:
    keys = jwks(jwk("p256", kid="1"))
    asked: list[bytes] = []

    async def publish(stream: trio.SocketStream) -> None:
        asked.append(await stream.receive_some())
        found = keys if len(asked) == 1 else b"gone"
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(found)
        await stream.send_all(head + found)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, publish, listeners)
        place = f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        url = f"http://{place}/keys?key={KEY}"
        async with serving(ROOMS_JWKS_URL=url) as (process, port, _):
            token = signed("p256", header={"kid": "1"}, exp=4e9)
            client = await dial(port)
            await client.handshake(headers=bearer(token))
            assert (await client.welcome())["user"] == {"id": "u17", "name": "u17"}
            await client.close()
            assert "401" in await refused(port, bearer(signed("p256", header={"kid": "2"})))
            assert "401" in await refused(port, bearer(signed("p384", header={"kid": "1"})))
            process.terminate()
            assert KEY not in await drain(process.stderr)
        nursery.cancel_scope.cancel()
    assert len(asked) == 1
    assert asked[0].startswith(f"GET /keys?key={KEY} HTTP/1.1\r\n".encode())
