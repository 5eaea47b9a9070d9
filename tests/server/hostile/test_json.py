"""JSON that only a hostile client sends: each gets an answer, and the connection lives."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rooms import App, Context
from rooms.chat import chat_app
from rooms.protocol.frames import BINARY
from rooms.testing import TestClient, client_frame
from tests.server.hostile.ground import closed_by, ground

DEEP = 100_000
BIG = 1024 * 1024
DIGITS = "9" * 5000


async def ask(client: TestClient, text: str | bytes) -> dict[str, Any]:
    """Send one message and return the answer, then make sure that the connection lives."""
    await client.send_raw(client_frame(text))
    answer = await client.receive()
    await client.send(type="ping", id="alive")
    assert await client.receive_type("pong") == {"type": "pong", "id": "alive"}
    return answer


def typed_app() -> App:
    """Return the chat, with an event whose payload is decoded and one whose is not."""
    app = chat_app()

    @app.on("decoded")
    async def decoded(ctx: Context[Any]) -> Any:
        return ctx.payload

    return app


NO_COMMANDS = [
    "",
    " ",
    "{}",
    "null",
    "true",
    "17",
    '"join"',
    "[]",
    '[{"type":"join","room":"lobby"}]',
    '{"type":"join","room":"lobby"',
    '{"type":"join","room":"lobby"}}',
    '{"type":"join","room":"lobby"}{"type":"join","room":"lobby"}',
    "{'type':'join','room':'lobby'}",
    '{"type":"join","room":"lobby",}',
    '\ufeff{"type":"join","room":"lobby"}',
    '{"type":"join"}',
    '{"type":"join","room":null}',
    '{"type":"join","room":["lobby"]}',
    '{"type":"join","room":"lobby","id":1.5}',
    '{"type":"join","room":"lobby","id":{}}',
    '{"type":"ping","id":' + DIGITS + "}",
    '{"type":"ping","id":"' + "x" * 65 + '"}',
    '{"type":"event","event":"echo","payload":NaN,"id":1}',
    '{"type":"event","event":"echo","payload":-Infinity,"id":1}',
    '{"type":"event","event":"echo","payload":01,"id":1}',
    '{"type":"event","event":"echo","payload":"\\ud800","id":1}',
    '{"type":"event","event":"echo","payload":{"\\udfff":1},"id":1}',
    '{"type":"join","room":"\\ud800","id":1}',
    '{"type":"event","event":"\\ud83d","id":1}',
    '{"type":"event","event":"echo","payload":"\x00","id":1}',
]


async def test_what_is_no_command_is_malformed() -> None:
    async with ground(typed_app()) as place:
        for text in NO_COMMANDS:
            answer = await ask(await place.connect(), text)
            assert (text, answer["type"], answer["code"]) == (text, "error", "malformed")
            assert answer["message"]


@pytest.mark.parametrize("kind", ['"no such"', "null", "{}"])
async def test_a_type_that_there_is_not_is_an_unknown_command(kind: str) -> None:
    async with ground() as place:
        answer = await ask(await place.connect(), f'{{"type":{kind},"id":1}}')
        assert (answer["type"], answer["code"]) == ("error", "unknown_command")


async def test_a_binary_message_is_malformed() -> None:
    async with ground() as place:
        client = await place.connect()
        await client.send_raw(client_frame(b'{"type":"ping"}', BINARY))
        assert (await client.receive())["code"] == "malformed"


DEEPLY = {
    "lists": "[" * DEEP + "]" * DEEP,
    "lists without an end": "[" * DEEP,
    "objects": '{"a":' * DEEP + "1" + "}" * DEEP,
    "objects without an end": '{"a":' * DEEP,
}


PLACES = [
    "%s",
    '{"type":"event","event":"decoded","payload":%s,"id":1}',
    '{"type":"event","event":"echo","payload":%s,"id":1}',
    '{"type":"join","room":%s,"id":1}',
    '{"type":"join","room":"lobby","other":%s,"id":1}',
    '{"type":%s,"id":1}',
    '{"type":"ping","id":%s}',
]


@pytest.mark.parametrize("nested", DEEPLY)
async def test_json_of_great_depth_is_refused(nested: str) -> None:
    async with ground(typed_app(), message_bytes=BIG) as place:
        client = await place.connect()
        for around in PLACES:
            answer = await ask(client, around.replace("%s", DEEPLY[nested]))
            assert answer["type"] == "error"
            assert answer["code"] in ("malformed", "unknown_command", "invalid_payload")


async def test_json_of_great_depth_is_too_big_by_default() -> None:
    async with ground() as place:
        client = await place.connect()
        await client.send_raw(client_frame(DEEPLY["lists"]))
        assert (await closed_by(client)).code == 1009


async def test_a_huge_integer_comes_back_as_it_was_or_is_refused() -> None:
    async with ground(typed_app()) as place:
        client = await place.connect()
        for number in (2**53, -(2**53), 2**63, 2**64, -(2**63) - 1, 10**300):
            event = '{"type":"event","event":"%s","payload":%d,"id":1}'
            await client.send_raw(client_frame(event % ("echo", number)))
            assert b'"payload":%d' % number in await client.message()
            answer = await ask(client, event % ("decoded", number))
            assert answer.get("payload") == number or answer["code"] == "invalid_payload"


async def test_a_number_beyond_all_bounds_ends_nothing() -> None:
    async with ground(typed_app()) as place:
        client = await place.connect()
        for number in ("1e999", DIGITS, "-" + DIGITS, "1e-999", "1." + DIGITS):
            event = f'{{"type":"event","event":"decoded","payload":{number},"id":1}}'
            assert (await ask(client, event))["id"] == 1


async def test_of_duplicate_keys_the_last_counts() -> None:
    async with ground() as place:
        client = await place.connect()
        answer = await ask(client, '{"type":"join","room":"a","room":"b","id":1,"id":2}')
        assert (answer["room"], answer["id"]) == ("b", 2)
        assert place.app.room_names == ["b"]


async def test_a_duplicate_type_is_answered() -> None:
    async with ground() as place:
        client = await place.connect()
        await ask(client, '{"type":"join","type":"ping","room":"a","id":1}')
        assert place.app.room_names in ([], ["a"])


@pytest.mark.parametrize(
    "command",
    [
        {"type": "join", "room": "NAME", "id": 1},
        {"type": "event", "event": "NAME", "room": "lobby", "id": 1},
        {"type": "event", "event": "NAME", "id": 1},
        {"type": "auth", "name": "NAME", "secret": "s", "id": 1},
    ],
    ids=["room", "event to a room", "event", "user"],
)
async def test_a_treacherous_name_is_reserved(command: dict[str, Any]) -> None:
    async with ground() as place:
        client = await place.connect()
        for name in (b"__proto__", b"constructor", b"prototype", b"$share", b"$"):
            answer = await ask(client, msgspec.json.encode(command).replace(b"NAME", name))
            assert (answer["type"], answer["id"], answer["code"]) == ("error", 1, "reserved_name")


async def test_treacherous_keys_inside_a_payload_are_none_of_our_business() -> None:
    async with ground() as place:
        client = await place.connect()
        payload = '{"__proto__":{"admin":true},"constructor":null}'
        event = f'{{"type":"event","event":"echo","payload":{payload},"id":1}}'
        await client.send_raw(client_frame(event))
        assert payload.encode() in await client.message()


async def test_the_servers_own_events_cannot_be_sent() -> None:
    async with ground() as place:
        client = await place.connect()
        await client.join("lobby")
        for event in ("connected", "disconnected", "error", "joined", "left"):
            assert (await client.event(event))["code"] == "reserved_name"
            assert (await client.event(event, "lobby"))["code"] == "reserved_name"
        assert place.connected[client.id] == 1
        assert place.reasons == {}


INVALID = ["", "x" * 256, "\u20ac" * 86, "a\x00b", "a\nb", "\u202eabc", "e\u0301", "\u200b"]


async def test_a_name_that_cannot_be_seen_or_is_too_long_is_invalid() -> None:
    async with ground(errors_in_a_row=1000) as place:
        client = await place.connect()
        for name in INVALID:
            assert (await client.join(name))["code"] == "invalid_name"
            assert (await client.event(name))["code"] == "invalid_name"
            answer = await client.request(type="auth", name=name or " ", secret="s")
            assert answer["code"] == "invalid_name"


async def test_a_client_that_only_sends_nonsense_is_sent_away_for_good() -> None:
    async with ground(errors_in_a_row=20) as place:
        client = await place.connect()
        await client.send_raw(client_frame("nonsense") * 100)
        for _ in range(20):
            assert (await client.receive())["code"] == "malformed"
        assert (await closed_by(client)).code == 3509
