"""Clients of all dialects in one room, and what each of them could do where it comes from."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from rooms import App, Context, Settings
from rooms.chat import chat_app
from rooms.protocol.dialects import DIALECTS
from rooms.protocol.frames import BINARY, TEXT
from rooms.testing import MemoryServer, Refused, TestClient, client_frame, in_memory
from tests.brokers.board import Board
from tests.server.cluster import opened
from tests.server.signing import Club

Ctx = Context[Any]


async def connect(server: MemoryServer, path: str, headers: str = "") -> TestClient:
    client = TestClient(server.open_stream())
    await client.handshake(path, headers)
    return client


async def send(client: TestClient, text: str) -> None:
    await client.send_raw(client_frame(text, TEXT))


async def get(client: TestClient) -> Any:
    return json.loads(await client.message())


async def nothing(client: TestClient) -> None:
    """Check that a client is told nothing more."""
    with trio.move_on_after(1):
        raise AssertionError(await client.message())


def foreign_app(**options: Any) -> App:
    return App(dialects=DIALECTS, **options)


# One room, one client of each dialect.


class Speaker:
    """A client in the room ``chat/1``: how it sends an event there, and how it reads one."""

    def __init__(self, client: TestClient, binary: bool = False) -> None:
        self.client = client
        self.binary = binary

    async def say(self, event: str, payload: dict[str, Any]) -> None:
        data = self.spell(event, payload)
        await self.client.send_raw(client_frame(data, BINARY if self.binary else TEXT))

    async def hear(self) -> tuple[str, Any]:
        while True:
            if (event := self.read(await self.client.message())) is not None:
                return event

    def spell(self, event: str, payload: Any) -> bytes:
        return msgspec.json.encode(
            {"type": "event", "event": event, "room": "chat/1", "payload": payload}
        )

    def read(self, data: bytes) -> tuple[str, Any] | None:
        message = json.loads(data)
        return (message["event"], message["payload"]) if message["type"] == "event" else None


class Packed(Speaker):
    def spell(self, event: str, payload: Any) -> bytes:
        return msgspec.msgpack.encode(json.loads(super().spell(event, payload)))

    def read(self, data: bytes) -> tuple[str, Any] | None:
        return super().read(msgspec.json.encode(msgspec.msgpack.decode(data)))


class Zap(Speaker):
    def spell(self, event: str, payload: Any) -> bytes:
        return msgspec.json.encode({"eventName": event, "payload": payload, "headers": {}})

    def read(self, data: bytes) -> tuple[str, Any] | None:
        message = json.loads(data)
        assert set(message) == {"eventName", "payload", "headers"}
        return message["eventName"], message["payload"]


class Flat(Speaker):
    def spell(self, event: str, payload: Any) -> bytes:
        tags = {"type": "send", "topic": "chat/1"}
        return msgspec.json.encode({**tags, "event": event, "payload": payload})

    def read(self, data: bytes) -> tuple[str, Any] | None:
        message = json.loads(data)
        return message["event"], message["payload"]


class Piped(Speaker):
    def spell(self, event: str, payload: Any) -> bytes:
        return f"{event}|".encode() + msgspec.json.encode(payload)

    def read(self, data: bytes) -> tuple[str, Any] | None:
        name, _, rest = data.decode().partition("|")
        return name, json.loads(rest)


async def speakers(server: MemoryServer) -> list[Speaker]:
    """Return a member of the room of each dialect."""
    native = await server.connect()
    await native.join("chat/1")
    packed = Packed(
        await connect(server, "/ws", "Sec-WebSocket-Protocol: rooms.v1.msgpack\r\n"), binary=True
    )
    join = {"type": "join", "room": "chat/1"}
    await packed.client.send_raw(client_frame(msgspec.msgpack.encode(join), BINARY))
    flat = Flat(await connect(server, "/fdw/ana"))
    await send(flat.client, '{"type":"subscribe","topic":"chat/1"}')
    zap = Zap(await connect(server, "/zaptools/chat/1"))
    piped = Piped(await connect(server, "/tranzit/chat/1"))
    await trio.testing.wait_all_tasks_blocked()
    return [Speaker(native), packed, flat, zap, piped]


async def test_what_one_publishes_all_receive_in_one_order(autojump_clock: MockClock) -> None:
    async with in_memory(foreign_app(relay=True)) as server:
        everybody = await speakers(server)
        expected = []
        for number, speaker in enumerate(everybody):
            payload = {"text": f"\u017e|,{number}", "list": [1, None, {"a": True}]}
            await speaker.say(f"said {number}", payload)
            expected.append((f"said {number}", payload))
            await trio.testing.wait_all_tasks_blocked()
        for speaker in everybody:
            assert [await speaker.hear() for _ in everybody] == expected


async def test_one_order_holds_for_all_when_they_speak_at_once(autojump_clock: MockClock) -> None:
    async with in_memory(foreign_app(relay=True)) as server:
        everybody = await speakers(server)
        async with trio.open_nursery() as nursery:
            for number, speaker in enumerate(everybody):
                nursery.start_soon(_say_many, speaker, number)
        heard = [[await speaker.hear() for _ in range(50)] for speaker in everybody]
        assert all(each == heard[0] for each in heard)
        assert len({name for name, _ in heard[0]}) == 50


async def _say_many(speaker: Speaker, number: int) -> None:
    for count in range(10):
        await speaker.say(f"e{number}-{count}", {"n": count})


async def test_presence_counts_agree(autojump_clock: MockClock) -> None:
    async with in_memory(foreign_app(relay=True)) as server:
        native, packed, _, zap, _ = await speakers(server)
        assert server.node.app.room("chat/1").count == 5
        told = await native.client.request(type="presence", room="chat/1")
        assert (told["count"], len(told["presence"])) == (5, 5)
        await send(zap.client, '{"eventName":"rooms:presence","payload":{"room":"chat/1"}}')
        assert (await get(zap.client))["payload"]["presence"] == told["presence"]
        ask = {"type": "presence", "room": "chat/1", "id": 1}
        await packed.client.send_raw(client_frame(msgspec.msgpack.encode(ask), BINARY))
        while (answer := msgspec.msgpack.decode(await packed.client.message())).get("id") != 1:
            pass
        assert answer["count"] == 5


async def test_each_dialect_encodes_a_publication_once(autojump_clock: MockClock) -> None:
    app = foreign_app(relay=True)
    async with in_memory(app) as server:
        for _ in range(2):
            await connect(server, "/zaptools/a")
            await connect(server, "/tranzit/a")
            await (await server.connect()).join("a")
        await trio.testing.wait_all_tasks_blocked()
        assert [len(members) for members in server.node.hub.rooms["a"].members.values()] == [2] * 3


# zaptools


async def test_zaptools_is_told_nothing_until_a_handler_speaks(autojump_clock: MockClock) -> None:
    async with in_memory(foreign_app()) as server:
        await nothing(await connect(server, "/zaptools"))


async def test_a_zaptools_handler_sees_headers_and_answers_by_name(
    autojump_clock: MockClock,
) -> None:
    app = foreign_app()

    @app.on("echo")
    async def echo(ctx: Ctx) -> None:
        await ctx.send("echo", ctx.payload, headers={"got": ctx.headers})

    @app.on("add")
    def add(ctx: Context[list[int]]) -> int:
        return sum(ctx.payload)

    async with in_memory(app) as server:
        client = await connect(server, "/zaptools")
        await send(client, '{"eventName":"echo","payload":1,"headers":{"x":"y"}}')
        assert await get(client) == {
            "eventName": "echo", "payload": 1, "headers": {"got": {"x": "y"}},
        }  # fmt: skip
        await send(client, '{"eventName":"add","payload":[1,2]}')
        assert await get(client) == {"eventName": "add", "payload": 3, "headers": {}}


@pytest.mark.parametrize("name", ["connected", "disconnected", "error", "joined", "left"])
@pytest.mark.parametrize("path", ["/zaptools", "/tranzit", "/fdw/ana"])
async def test_what_only_the_server_fires_cannot_come_from_outside(
    path: str, name: str, autojump_clock: MockClock
) -> None:
    app = foreign_app()
    fired: list[str] = []
    app.on("connected")(lambda ctx: fired.append(ctx.client.path))
    app.on("disconnected")(lambda ctx: fired.append("gone"))
    async with in_memory(app) as server:
        client = await connect(server, path)
        texts = {
            "/zaptools": json.dumps({"eventName": name}),
            "/tranzit": f"{name}|",
            "/fdw/ana": json.dumps({"type": name}),
        }
        await send(client, texts[path])
        answer = (await client.message()).decode()
        assert "error" in answer
        assert fired == [path]


@pytest.mark.parametrize("text", ["no json", "[]", "{}", '{"eventName":5}'])
async def test_malformed_input_of_zaptools_is_answered_by_an_error_event(
    text: str, autojump_clock: MockClock
) -> None:
    async with in_memory(foreign_app()) as server:
        client = await connect(server, "/zaptools")
        await send(client, text)
        answer = await get(client)
        assert (answer["eventName"], answer["payload"]["code"]) == ("error", "malformed")
        await client.send_raw(client_frame(b"\x00", BINARY))
        assert (await get(client))["payload"]["code"] == "malformed"
        await send(client, '{"eventName":"nosuch"}')
        assert (await get(client))["payload"]["event"] == "nosuch"  # the connection lives


async def test_who_goes_on_sending_nonsense_is_closed_with_a_code(
    autojump_clock: MockClock,
) -> None:
    async with in_memory(foreign_app(), Settings(errors_in_a_row=2)) as server:
        for path in ("/zaptools", "/tranzit", "/fdw/ana"):
            client = await connect(server, path)
            for _ in range(3):
                await send(client, "nonsense")
            assert (await client.closing()).code == 3509


async def test_a_zaptools_client_can_use_the_native_commands(autojump_clock: MockClock) -> None:
    async with in_memory(foreign_app(relay=True)) as server:
        client = await connect(server, "/zaptools")
        await send(client, '{"eventName":"rooms:join","payload":{"room":"a"}}')
        joined = await get(client)
        assert (joined["eventName"], joined["payload"]["count"]) == ("rooms:join", 1)
        event = {"room": "a", "event": "say", "payload": 1}
        await send(client, json.dumps({"eventName": "rooms:event", "payload": event}))
        assert (await get(client))["eventName"] == "say"
        assert "position" in (await get(client))["payload"]
        await send(client, '{"eventName":"rooms:history","payload":{"room":"a"}}')
        assert (await get(client))["payload"]["publications"][0]["event"] == "say"


# FDW


async def fdw(server: MemoryServer, conn_id: str, *sent: dict[str, Any]) -> TestClient:
    client = await connect(server, f"/fdw/{conn_id}")
    for fields in sent:
        await send(client, json.dumps(fields))
    await trio.testing.wait_all_tasks_blocked()
    return client


async def test_a_broadcast_reaches_all_connections_the_sender_too(
    autojump_clock: MockClock,
) -> None:
    async with in_memory(foreign_app(relay=True)) as server:
        ana, ben = await fdw(server, "ana"), await fdw(server, "ben")
        await send(ana, '{"type":"broadcast","msg":"hi"}')
        assert [await get(ana), await get(ben)] == [{"msg": "hi"}] * 2


async def test_a_topic_reaches_those_whose_filters_match(autojump_clock: MockClock) -> None:
    async with in_memory(foreign_app(relay=True)) as server:
        exact = await fdw(server, "exact", {"type": "subscribe", "topic": "room/1"})
        wild = await fdw(server, "wild", {"type": "subscribe", "topic": "room/#"})
        sender = await fdw(server, "sender", {"type": "send", "topic": "room/1", "msg": "x"})
        assert [await get(exact), await get(wild)] == [{"msg": "x"}] * 2
        await send(sender, '{"type":"send","topic":"room","msg":"parent"}')
        assert await get(wild) == {"msg": "parent"}  # as MQTT says, and FDW did not
        await send(wild, '{"type":"unsubscribe","topic":"room/#"}')
        await send(exact, '{"type":"unsubscribe","topic":"room/1"}')
        await send(sender, '{"type":"send","topic":"room/1","msg":"y"}')
        for client in (exact, wild, sender):
            await nothing(client)


async def test_some_are_told_by_id_and_nobody_else(autojump_clock: MockClock) -> None:
    async with in_memory(foreign_app(relay=True)) as server:
        ana = await fdw(server, "ana")
        ben = await fdw(server, "ben")
        cleo = await fdw(server, "cleo", {"type": "subscribe", "topic": "#"})
        await send(ana, '{"type":"send_by_conn_id","conn_id":"ben","msg":"x"}')
        await send(ana, '{"type":"send_by_conn_id","conn_id":["ben","ana","nobody"],"msg":"y"}')
        assert [await get(ben), await get(ben), await get(ana)] == [
            {"msg": "x"}, {"msg": "y"}, {"msg": "y"},
        ]  # fmt: skip
        await nothing(cleo)


async def test_some_are_told_by_id_wherever_they_are_connected(
    autojump_clock: MockClock,
) -> None:
    async with opened(2, Board(), lambda: foreign_app(relay=True)) as (here, there):
        ana = await fdw(here.server, "ana")
        near, far = await fdw(here.server, "near"), await fdw(there.server, "far")
        await send(ana, '{"type":"send_by_conn_id","conn_id":["near","far"],"msg":"x"}')
        assert [await get(near), await get(far)] == [{"msg": "x"}] * 2


async def test_an_id_that_is_taken_is_refused(autojump_clock: MockClock) -> None:
    async with in_memory(foreign_app()) as server:
        await fdw(server, "ana")
        with pytest.raises(Refused, match="409"):
            await fdw(server, "ana")


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"subscribe","topic":"a#"}',
        '{"type":"subscribe","topic":"a/#/b"}',
        '{"type":"subscribe","topic":"$SYS/x"}',
        '{"type":"send","msg":"x"}',
        '{"type":"publish","topic":"a"}',
        "[1]",
        "nonsense",
    ],
)
async def test_a_mistake_is_answered_and_silences_nobody(
    text: str, autojump_clock: MockClock
) -> None:
    async with in_memory(foreign_app(relay=True)) as server:
        ana, ben = await fdw(server, "ana"), await fdw(server, "ben")
        await send(ana, text)
        answer = await get(ana)
        assert list(answer) == ["error"]
        assert " at 0x" not in answer["error"]
        await send(ana, '{"type":"broadcast","msg":"hi"}')
        assert [await get(ana), await get(ben)] == [{"msg": "hi"}] * 2


async def test_to_subscribe_twice_is_no_mistake(autojump_clock: MockClock) -> None:
    async with in_memory(foreign_app(relay=True)) as server:
        ana = await fdw(server, "ana", *[{"type": "subscribe", "topic": "a/b"}] * 2)
        await send(ana, '{"type":"unsubscribe","topic":"never"}')
        await send(ana, '{"type":"send","topic":"a/b","n":1}')
        assert await get(ana) == {"n": 1}


async def test_handlers_see_what_fdw_clients_send(autojump_clock: MockClock) -> None:
    app = foreign_app()

    @app.on("message", room="room/+")
    async def message(ctx: Ctx) -> None:
        assert ctx.room is not None
        await ctx.room.publish("message", {**ctx.payload, "by": ctx.client.name})

    async with in_memory(app) as server:
        ana = await fdw(server, "ana", {"type": "subscribe", "topic": "room/1"})
        await send(ana, '{"type":"send","topic":"room/1","msg":"x"}')
        assert await get(ana) == {"msg": "x", "by": "ana"}
        await send(ana, '{"type":"broadcast","msg":"x"}')
        assert list(await get(ana)) == ["error"]  # nothing is relayed here


# tranzit


async def test_a_tranzit_view_is_a_handler(autojump_clock: MockClock) -> None:
    app = foreign_app()

    @app.on("get_hello")
    def hello(ctx: Context[list[str]]) -> list[str]:
        return ["HELLO!", *ctx.payload]

    async with in_memory(app) as server:
        client = await connect(server, "/tranzit")
        await send(client, "get_hello|\u00e9, b")
        assert (await client.message()).decode() == "get_hello|HELLO!,\u00e9, b"
        await send(client, "nosuch|1,2")
        assert (await client.message()).startswith(b"error|nosuch,unknown_event,")
        await send(client, "nopipe")
        assert (await client.message()).startswith(b"error|,malformed,")


async def test_large_messages_and_many_of_them_stay_whole(autojump_clock: MockClock) -> None:
    async with in_memory(foreign_app(relay=True)) as server:
        client = await connect(server, "/tranzit/a")
        await send(client, "big|" + "x" * 60_000)
        assert len(await client.message()) == 60_004
        await client.send_raw(b"".join(client_frame(f"n|{n}") for n in range(400)))
        assert [await client.message() for _ in range(400)] == [
            f"n|{n}".encode() for n in range(400)
        ]


# The demo chat.


async def test_all_dialects_are_spoken_in_the_built_in_chat(autojump_clock: MockClock) -> None:
    async with in_memory(chat_app()) as server:
        assert len(await speakers(server)) == 5
        for path in ("/zaptools", "/tranzit", "/fdw/x"):
            await connect(server, path)


async def test_a_connection_in_another_dialect_leaves_its_room_when_it_ends(
    autojump_clock: MockClock,
) -> None:
    async with in_memory(foreign_app(relay=True), Settings(presence_grace=0)) as server:
        for path in ("/zaptools/a", "/tranzit/a"):
            client = await connect(server, path)
            await trio.testing.wait_all_tasks_blocked()
            assert server.node.app.room("a").count == 1
            await client.close()
            await server.node.idle()
            assert server.node.app.room("a").count == 0


# Under sign-in and rules.


async def test_who_has_to_sign_in_first_comes_into_the_room_of_the_path_then(
    autojump_clock: MockClock,
) -> None:
    club = Club(dialects=DIALECTS)
    async with in_memory(club.app) as server:
        client = await connect(server, "/zaptools/a")
        await send(client, '{"eventName":"say","payload":1}')
        assert (await get(client))["payload"]["code"] == "unauthorized"
        assert club.happened == []
        await send(client, '{"eventName":"rooms:auth","payload":{"token":"ana"}}')
        assert (await get(client))["payload"]["user"] == {"id": "ana", "name": "Ana"}
        await send(client, '{"eventName":"say","payload":1}')
        said = await get(client)
        assert (said["headers"]["room"], said["headers"]["from"]["user"]) == ("a", "ana")


async def test_rules_hold_in_every_dialect(autojump_clock: MockClock) -> None:
    app = foreign_app(relay=True)
    app.authorize("join", "publish", "subscribe", room="closed/#")(lambda access: False)
    async with in_memory(app) as server:
        ana, ben = await fdw(server, "ana"), await fdw(server, "ben")
        for fields in (
            {"type": "subscribe", "topic": "closed/1"},
            {"type": "subscribe", "topic": "closed/+"},
            {"type": "send", "topic": "closed/1", "msg": "x"},
            {"type": "send_by_conn_id", "conn_id": "ben", "msg": "x"},
        ):
            await send(ana, json.dumps(fields))
            assert list(await get(ana)) == ["error"]
        await nothing(ben)
        zap = await connect(server, "/zaptools/closed/1")
        assert (await get(zap))["payload"]["code"] == "forbidden"
        piped = await connect(server, "/tranzit/closed/1")
        assert (await piped.message()).startswith(b"error|,forbidden")


async def test_who_is_taken_out_of_a_room_is_told_in_its_own_words(
    autojump_clock: MockClock,
) -> None:
    app = foreign_app(relay=True)
    may = True
    app.authorize("join", room="a/1")(lambda access: may)
    async with in_memory(app) as server:
        zap, piped = await connect(server, "/zaptools/a/1"), await connect(server, "/tranzit/a/1")
        flat = await fdw(server, "x", {"type": "subscribe", "topic": "a/1"})
        may = False
        app.recheck()
        assert (await get(zap))["payload"] == {"room": "a/1", "reason": "forbidden"}
        assert (await piped.message()) == b"left|a/1,forbidden"
        assert await get(flat) == {"error": "You were taken out of 'a/1'."}
