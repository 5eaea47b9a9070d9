"""What the README shows is run here."""

from __future__ import annotations

import re
import types
from pathlib import Path

import pytest

from rooms import App
from rooms.testing import client_frame, in_memory

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def _block(language: str, number: int = 0) -> str:
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return blocks[number]


def _application() -> App:
    module = types.ModuleType("chat")
    exec(compile(_block("python"), "README.md", "exec"), module.__dict__)
    app = module.__dict__["app"]
    assert isinstance(app, App)
    return app


async def test_the_application_greets_says_and_sees_people_leave(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with in_memory(_application()) as server:
        client = await server.connect()
        assert await client.receive_event("hello") == {"you": client.id}
        await client.request(type="auth", name="Ana", secret="x")
        await client.join("chat/lobby")
        reply = await client.event("say", "chat/lobby", {"text": "Hello"})
        said = await client.receive_type("event")
        assert said["payload"] == {"who": "Ana", "text": "Hello"}
        assert reply["payload"] == {"position": said["position"]}
        error = await client.event("say", "chat/lobby", {"text": 5})
        assert "$.text" in error["message"]
        await client.close()
    assert f"{client.id} left: 1000 closed by the client" in capsys.readouterr().out


async def test_the_frames_for_the_browsers_console_are_answered_as_typed() -> None:
    async with in_memory(_application()) as server:
        client = await server.connect()
        frames = _block("js", 1).strip().splitlines()
        for number, frame in enumerate(frames, 1):
            await client.send_raw(client_frame(frame))
            assert (await client.receive_type("reply"))["id"] == number
        assert len(frames) == 3
