"""A real server in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import httpx

ROOT = Path(__file__).parents[2]
TOKEN = "token-of-the-browser-tests"


class Server:
    """`rooms serve` on one port, which can be stopped and started again.

    Args:
        log: Where the server's log goes.
        settings: By their names, as text.
    """

    def __init__(self, log: Path, **settings: str) -> None:
        self._settings = {f"ROOMS_{name.upper()}": text for name, text in settings.items()}
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Return when the server has said that it listens."""
        command = [sys.executable, "-m", "rooms", "serve", "--port", str(self.port)]
        environment = os.environ | {"ROOMS_ADMIN_TOKEN": TOKEN} | self._settings
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        greeting = self._process.stdout.readline()
        assert self.url.rstrip("/") in greeting, self._log.read_text()

    def stop(self) -> None:
        """Stop politely: clients get their close code."""
        if self._process is not None:
            self._process.terminate()
            assert self._process.wait(timeout=15) == 0, self._log.read_text()
            self._forget()

    def kill(self) -> None:
        """Stop without a goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=15)
            self._forget()

    def disconnect(self, user: str) -> None:
        """Send somebody away for good, as an operator does."""
        with self._api() as api:
            clients = api.get("/api/clients").json()["clients"]
            (client,) = (each["id"] for each in clients if each["user"]["name"] == user)
            api.post(f"/api/clients/{client}/disconnect").raise_for_status()

    def revoke(self, user: str) -> None:
        """End somebody's sign-ins, as an operator does."""
        with self._api() as api:
            api.post("/api/revoke", json={"user": user}).raise_for_status()

    def say(self, room: str, texts: Iterable[str]) -> None:
        """Say something in a room, as the server."""
        with self._api() as api:
            for text in texts:
                order = {"event": "say", "payload": {"text": text}}
                api.post(f"/api/rooms/{room}/publish", json=order).raise_for_status()

    def _api(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {TOKEN}"})

    def _forget(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None


def free_port() -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
