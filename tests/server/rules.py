"""Apps with rules, and what clients try against them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import trio

from rooms import Access, App, User
from rooms.core.grants import ACTIONS, Action, parse_grants
from rooms.core.identity import Identity
from rooms.server.guard import identify
from rooms.testing import MemoryServer, TestClient

ROOM = "team/1"

COMMANDS: dict[str, dict[str, Any]] = {
    "join": {"type": "join", "room": ROOM},
    "publish": {"type": "event", "event": "say", "room": ROOM, "payload": {"n": 1}},
    "subscribe": {"type": "subscribe", "filter": ROOM},
    "presence": {"type": "presence", "room": ROOM},
    "history": {"type": "history", "room": ROOM},
}

LEFT = {"type": "left", "room": ROOM, "reason": "forbidden"}

FORBIDDEN_FILTERS = ["#", "+/1", "team/#", "team/+", "+/+", "team/1", "team/1/#", "+/#"]

TRICKS = [
    "Team/1",
    "TEAM/1",
    "team/\uff11",
    "\uff54eam/1",
    "team/./1",
    "team/1/../2",
    "../team/1",
    "/team/1",
    "team//1",
    "team/1/",
    "team%2F1",
    "team%2f1",
    "team/%31",
    "team/1 ",
    " team/1",
    "team/1\u200b",
    "te\u200dam/1",
    "\ufeffteam/1",
    "team\u2044" + "1",
    "team\u2215" + "1",
    "team\\1",
    "team/1\u0000",
    "team/1\n",
    "te\u00adam/1",
    "tea\u0301m/1",
    "te\u0430m/1",
    "team/\u0661",
    "team/1\ufe0f",
    "team/1\u3164",
]


def app_with(rules: Mapping[Action, bool | None], room: str = "team/+", slow: bool = False) -> App:
    """Return an app whose rules answer as listed, plain or asynchronous."""
    app = App(relay=True, guests=True)
    for action, answer in rules.items():
        if slow:

            @app.authorize(action, room=room)
            async def later(access: Access, answer: bool | None = answer) -> bool | None:
                await trio.lowlevel.checkpoint()
                return answer
        else:
            app.authorize(action, room=room)(lambda access, answer=answer: answer)
    return app


async def code_of(client: TestClient, **command: Any) -> str:
    """Return the code of a command's error, or that there was none."""
    reply = await client.request(**command)
    return "allowed" if reply["type"] == "reply" else str(reply["code"])


def grant(server: MemoryServer, client: TestClient, claim: object) -> None:
    """Have a connection sign in with a token that says what it may do."""
    session = server.node.sessions[client.id]
    identify(session, Identity(user=User("ana"), grants=parse_grants(claim)))


class Doors:
    """A rule that can change its mind, at once or after a while."""

    def __init__(self, app: App, slow: bool) -> None:
        self.open = True
        self.seconds = 0.0
        rule: Callable[[Access], Any] = self.ask_later if slow else self.ask
        app.authorize(*ACTIONS, room="team/#")(rule)

    def ask(self, access: Access) -> bool:
        """Answer at once."""
        return self.open

    async def ask_later(self, access: Access) -> bool:
        """Answer after a while, by what held at first."""
        answer = self.open
        with trio.move_on_after(self.seconds):
            await trio.sleep_forever()
        return answer


def app_with_doors(slow: bool) -> tuple[App, Doors]:
    """Return an app in whose team rooms everything is allowed as long as the doors are open."""
    app = App(relay=True, guests=True)
    return app, Doors(app, slow)
