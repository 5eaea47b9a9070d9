"""What a session makes of a dialect: any number of commands a message, names, silence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
import trio
from msgspec import Raw
from trio.testing import MockClock

from rooms import App, Context, Settings
from rooms.errors import ConfigError, Disconnect, InvalidName, Malformed
from rooms.protocol.commands import (
    ErrorReply,
    Join,
    Message,
    PongReply,
    Publication,
    Push,
    Reply,
    SendEvent,
)
from rooms.protocol.dialects.base import Decoded, Dialect, Voice
from rooms.protocol.foreign import ForeignEvent, Said, Tell
from rooms.protocol.frames import TEXT, server_frame
from rooms.testing import Closed, MemoryServer, Refused, TestClient, client_frame, in_memory
from tests.server.signing import Club, bearer

Ctx = Context[Any]


class Lines(Dialect):
    """A command a line, such as ``join lobby``; answers are lines, too."""

    name = "lines"
    paths: ClassVar[tuple[str, ...]] = ("/lines", "/lines/{who}", "/lines/{who}/in/{+room}")

    def open(self, parameters: Mapping[str, str]) -> Voice:
        who, room = parameters.get("who"), parameters.get("room")
        if who == "nobody":
            raise InvalidName("Nobody is no name.")
        return Voice(self.decode, who, (Join(room=room, id="in"),) if room else ())

    def decode(self, payload: bytes, binary: bool) -> Decoded:
        commands = tuple(_command(line) for line in payload.decode().splitlines())
        return commands[0] if len(commands) == 1 else commands

    def encode(self, message: Message) -> bytes:
        line = _line(message)
        return server_frame(line.encode()) if line else b""

    def encode_close(self, reason: Disconnect) -> bytes:
        return server_frame(b"bye") + super().encode_close(reason)


def _command(line: str) -> Said:
    match line.split(" "):
        case ["join", room]:
            return Join(room=room, id="join")
        case ["say", room, text]:
            payload = Raw(msgspec.json.encode(text))
            return SendEvent(event="say", room=room, payload=payload, id="say")
        case ["out", room, text]:
            payload = Raw(msgspec.json.encode(text))
            return ForeignEvent(event="say", room=room, payload=payload, id="out", outside=True)
        case ["head", event]:
            return ForeignEvent(event=event, headers={"x": "y"}, id="head")
        case ["tell", names, event]:
            return Tell(names=tuple(names.split(",")), event=event, id="tell")
    raise Malformed(f"What is {line!r}?")


def _line(message: Message) -> str:
    match message:
        case Reply(id=key, payload=payload):
            return f"{key}: {'' if payload is msgspec.UNSET else payload}"
        case ErrorReply(id=key, code=code):
            return f"{'?' if key is msgspec.UNSET else key}! {code}"
        case Publication(event=event, payload=payload) | Push(event=event, payload=payload):
            return f"{event} {bytes(payload).decode()}"
        case PongReply():
            return "pong"
    return ""  # the greeting and changes of presence


def lines_app(**options: Any) -> App:
    return App(dialects=["native", Lines()], **options)


async def connect(server: MemoryServer, path: str = "/lines") -> TestClient:
    client = TestClient(server.open_stream())
    await client.handshake(path)
    return client


async def lines(client: TestClient, count: int, *sent: str) -> list[str]:
    await client.send_raw(client_frame("\n".join(sent), TEXT))
    return [(await client.message()).decode() for _ in range(count)]


async def test_the_commands_of_a_message_are_done_in_order(autojump_clock: MockClock) -> None:
    async with in_memory(lines_app(relay=True)) as server:
        client = await connect(server)
        got = await lines(client, 5, "join a", "join a", "say a 1", "say b 2")
        assert got == ["join: ", "join! already_joined", 'say "1"', "say: ", "say! not_member"]


async def test_a_message_with_no_command_in_it_is_nothing(autojump_clock: MockClock) -> None:
    async with in_memory(lines_app(relay=True)) as server:
        client = await connect(server)
        await lines(client, 0)
        assert await lines(client, 1, "join a") == ["join: "]


async def test_every_command_of_a_message_counts_for_the_rate(autojump_clock: MockClock) -> None:
    settings = Settings(rate_messages=2, rate_burst_seconds=1)
    async with in_memory(lines_app(relay=True), settings) as server:
        client = await connect(server)
        await lines(client, 3, "join a", "join b", "join c")
        assert await lines(client, 1, "join d") == ["join! rate_limited"]


async def test_what_a_dialect_has_no_word_for_is_not_sent(autojump_clock: MockClock) -> None:
    async with in_memory(lines_app(relay=True)) as server:
        follower, member, native = (
            await connect(server),
            await connect(server),
            await server.connect(),
        )
        await lines(member, 1, "join a")
        await native.join("a")
        assert (await native.receive_type("presence"))["count"] == 2
        await native.event("say", "a", 1)
        assert (await member.message()) == b"say 1"  # and neither greeting nor presence before
        await follower.close()


async def test_a_dialect_may_say_goodbye_in_its_own_words(autojump_clock: MockClock) -> None:
    async with in_memory(lines_app(relay=True)) as server:
        client = await connect(server)
        await lines(client, 1, "join a")
        for each in server.node.clients.values():
            each.close(4000)
        assert await client.message() == b"bye"
        with pytest.raises(Closed, match="4000"):
            await client.message()


async def test_what_the_path_says_is_done_first(autojump_clock: MockClock) -> None:
    app = lines_app()
    rooms: list[list[str]] = []

    @app.on("connected")
    def note(ctx: Ctx) -> None:
        rooms.append(ctx.client.rooms)

    @app.on("say")
    def say(ctx: Ctx) -> list[str]:
        return ctx.client.rooms

    async with in_memory(app) as server:
        client = await connect(server, "/lines/ana/in/chat/1")
        assert await lines(client, 2, "say chat/1 x") == ["in: ", "say: ['chat/1']"]
        assert rooms == [[]]  # the application knows of a connection before any room does


async def test_a_dialect_may_refuse_a_connection(autojump_clock: MockClock) -> None:
    async with in_memory(lines_app()) as server:
        with pytest.raises(Refused, match="400"):
            await connect(server, "/lines/nobody")


async def test_a_name_belongs_to_one_connection_until_that_ends(
    autojump_clock: MockClock,
) -> None:
    async with in_memory(lines_app()) as server:
        first = await connect(server, "/lines/ana")
        with pytest.raises(Refused, match="409"):
            await connect(server, "/lines/ana")
        await first.close()
        await server.node.idle()
        again = await connect(server, "/lines/ana")
        assert [client.name for client in server.node.clients.values()] == ["ana"]
        await again.close()


async def test_of_two_that_take_a_name_at_once_one_is_sent_away(
    autojump_clock: MockClock,
) -> None:
    ended: list[str] = []
    async with in_memory(lines_app()) as server, trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(_stay, TestClient(server.open_stream()), ended)
        await trio.testing.wait_all_tasks_blocked()
        assert ended == ["3503 that name is taken"]
        assert server.node.names.find("ana") is not None
        nursery.cancel_scope.cancel()


async def _stay(client: TestClient, ended: list[str]) -> None:
    await client.handshake("/lines/ana")
    ended.append(str(await client.closing()))


class Mute(Lines):
    """Has no word for signing in."""

    name = "mute"
    paths = ("/mute/{who}",)
    signs_in = False


async def test_who_cannot_say_auth_signs_in_with_the_request(autojump_clock: MockClock) -> None:
    club = Club(dialects=[Mute()])
    async with in_memory(club.app) as server:
        with pytest.raises(Refused, match="401"):
            await connect(server, "/mute/ana")
        await TestClient(server.open_stream()).handshake("/mute/ana", bearer("ana"))
        assert club.happened == ["connected"]


async def test_whether_a_name_is_taken_is_not_told_to_strangers(autojump_clock: MockClock) -> None:
    async with in_memory(Club(dialects=[Lines()]).app) as server:
        await TestClient(server.open_stream()).handshake("/lines/ana", bearer("ana"))
        for name in ("ana", "ben"):
            with pytest.raises(Refused, match="401"):
                await TestClient(server.open_stream()).handshake(f"/lines/{name}", bearer("no"))
        with pytest.raises(Refused, match="409"):
            await TestClient(server.open_stream()).handshake("/lines/ana", bearer("ben"))


async def test_connections_can_be_told_by_their_names(autojump_clock: MockClock) -> None:
    async with in_memory(lines_app(relay=True)) as server:
        ana, ben = await connect(server, "/lines/ana"), await connect(server, "/lines/ben")
        assert await lines(ana, 1, "tell ben,nobody hello") == ["tell: "]
        assert await ben.message() == b"hello null"
        assert await lines(ana, 2, "tell ana,ben hi") == ["hi null", "tell: "]
        assert await lines(ana, 1, "tell ben error") == ["tell! reserved_name"]


async def test_nobody_is_told_where_nothing_is_relayed(autojump_clock: MockClock) -> None:
    async with in_memory(lines_app()) as server:
        ana = await connect(server, "/lines/ana")
        assert await lines(ana, 1, "tell ana hello") == ["tell! unknown_event"]


async def test_some_events_are_published_from_outside_a_room(autojump_clock: MockClock) -> None:
    async with in_memory(lines_app(relay=True)) as server:
        native, outsider = await server.connect(), await connect(server)
        await native.join("a")
        assert await lines(outsider, 1, "out a hi") == ["out: "]
        assert await native.receive_event("say") == "hi"
        assert await lines(outsider, 1, "out a+ hi") == ["out! invalid_name"]
        assert await lines(outsider, 1, "say a hi") == ["say! not_member"]


async def test_a_handler_sees_the_room_of_an_event_from_outside(
    autojump_clock: MockClock,
) -> None:
    app = lines_app()

    @app.on("say", room="a/+")
    async def say(ctx: Ctx) -> str:
        assert ctx.room is not None
        return ctx.room.name

    async with in_memory(app) as server:
        client = await connect(server)
        assert await lines(client, 1, "out a/1 hi") == ["out: a/1"]


async def test_a_handler_sees_the_headers(autojump_clock: MockClock) -> None:
    app = lines_app()

    @app.on("show")
    def show(ctx: Ctx) -> dict[str, Any]:
        return ctx.headers

    async with in_memory(app) as server:
        client = await connect(server)
        assert await lines(client, 1, "head show") == ["head: {'x': 'y'}"]
        assert await (await server.connect()).event("show") == {
            "type": "reply",
            "id": 1,
            "payload": {},
        }


async def test_the_setting_says_what_is_spoken(autojump_clock: MockClock) -> None:
    async with in_memory(lines_app(), Settings(dialects=("lines",))) as server:
        await connect(server)
        with pytest.raises(Refused, match="404"):
            await server.connect()


async def test_an_app_speaks_the_native_dialect_alone_unless_it_says_else(
    autojump_clock: MockClock,
) -> None:
    async with in_memory(App()) as server:
        await server.connect()
        with pytest.raises(Refused, match="404"):
            await connect(server)


async def test_a_dialect_that_there_is_not_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="klingon"):
        async with in_memory(App(), Settings(dialects=("klingon",))):
            pass


def documented_dialect() -> App:
    """Return the application that the documentation shows."""
    text = (Path(__file__).parents[2] / "docs" / "dialects.md").read_text(encoding="utf-8")
    source = next(
        code for code in re.findall(r"```python\n(.*?)```", text, re.S) if "class" in code
    )
    names: dict[str, Any] = {}
    exec(source, names)
    app = names["app"]
    assert isinstance(app, App)
    return app


async def test_the_dialect_in_the_documentation_works(autojump_clock: MockClock) -> None:
    async with in_memory(documented_dialect()) as server:
        ana, ben = await connect(server, "/shout/a/b"), await connect(server, "/shout/a/b")
        await trio.testing.wait_all_tasks_blocked()
        await ana.send_raw(client_frame("h\u00e9llo"))
        assert await ana.message() == await ben.message() == "h\u00e9llo".encode()
