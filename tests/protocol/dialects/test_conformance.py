"""Every dialect that comes with Rooms keeps to the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET

from rooms.protocol.commands import (
    Auth,
    Dropped,
    ErrorReply,
    Join,
    Leave,
    ListHistory,
    ListPresence,
    Message,
    Missed,
    Ping,
    Pong,
    PongReply,
    PresenceChange,
    Reply,
    SendEvent,
    Subscribe,
    Unsubscribe,
    Welcome,
)
from rooms.protocol.dialects.fdw import Fdw
from rooms.protocol.dialects.msgpack import NativeMsgpack
from rooms.protocol.dialects.native import NativeJson
from rooms.protocol.dialects.tranzit import Tranzit
from rooms.protocol.dialects.zaptools import Zaptools
from rooms.protocol.foreign import Tell
from rooms.testing import DialectSuite
from rooms.testing.dialects import COMMANDS, KINDS
from rooms.testing.samples import MESSAGES

NATIVE: dict[type[Any], bytes] = {
    Auth: b'{"type":"auth","name":"Ana"}',
    Join: b'{"type":"join","room":"lobby","since":["e1",41],"id":1}',
    Leave: b'{"type":"leave","room":"lobby"}',
    SendEvent: b'{"type":"event","event":"say","room":"lobby","payload":{"t":1},"id":4}',
    ListPresence: b'{"type":"presence","room":"lobby","id":"x"}',
    ListHistory: b'{"type":"history","room":"lobby","limit":5}',
    Subscribe: b'{"type":"subscribe","filter":"news/#"}',
    Unsubscribe: b'{"type":"unsubscribe","filter":"news/#"}',
    Ping: b'{"type":"ping"}',
    Pong: b'{"type":"pong"}',
}


class TestNative(DialectSuite):
    dialect = NativeJson()
    says: ClassVar = NATIVE


class TestMsgpack(DialectSuite):
    dialect = NativeMsgpack()
    says: ClassVar = {
        kind: msgspec.msgpack.encode(msgspec.json.decode(text)) for kind, text in NATIVE.items()
    }
    binary = True


def _wrapped(text: bytes) -> bytes:
    fields = msgspec.json.decode(text)
    return msgspec.json.encode({"eventName": f"rooms:{fields.pop('type')}", "payload": fields})


class TestZaptools(DialectSuite):
    dialect = Zaptools()
    says: ClassVar = {kind: _wrapped(text) for kind, text in NATIVE.items()}
    silent: ClassVar = {Welcome, PresenceChange}
    parameters: ClassVar = {"room": "chat/1"}

    def is_silent(self, message: Message) -> bool:
        """An answer without a payload is none, unless it is a command's."""
        if isinstance(message, Reply):
            return message.payload is UNSET
        return super().is_silent(message)


class TestFdw(DialectSuite):
    dialect = Fdw()
    says: ClassVar = {
        Join: b'{"type":"subscribe","topic":"a/b"}',
        Leave: b'{"type":"unsubscribe","topic":"a/b"}',
        SendEvent: b'{"type":"send","topic":"a/b","msg":"hi"}',
        Subscribe: b'{"type":"subscribe","topic":"a/+"}',
        Unsubscribe: b'{"type":"unsubscribe","topic":"a/+"}',
    }
    never_says: ClassVar = {Auth, ListPresence, ListHistory, Ping, Pong}
    silent: ClassVar = {Welcome, PresenceChange, Reply, Missed, Dropped, PongReply}
    parameters: ClassVar = {"conn_id": "ana"}

    def is_silent(self, message: Message) -> bool:
        """To ask for what is so already is no mistake here."""
        if isinstance(message, ErrorReply):
            return message.code in ("already_joined", "not_member")
        return super().is_silent(message)


class TestTranzit(DialectSuite):
    dialect = Tranzit()
    says: ClassVar = {SendEvent: b"say|hello,\xc5\xbe"}
    never_says: ClassVar = NATIVE.keys() - {SendEvent}
    silent: ClassVar = {Welcome, PresenceChange, Missed, Dropped, PongReply}
    parameters: ClassVar = {"room": "chat/1"}

    def is_silent(self, message: Message) -> bool:
        """An answer without a payload is none."""
        if isinstance(message, Reply):
            return message.payload is UNSET
        return super().is_silent(message)


# What the documentation says of them.

SUITES = {"native": TestNative, "zaptools": TestZaptools, "fdw": TestFdw, "tranzit": TestTranzit}
DOCS = Path(__file__).parents[3] / "docs" / "dialects.md"


def outcomes() -> dict[str, dict[str, bool]]:
    """Return what the tables say: for each command and message, in which dialects it is said."""
    said: dict[str, dict[str, bool]] = {}
    for line in DOCS.read_text(encoding="utf-8").splitlines():
        first, *cells = line.replace("\\|", "").strip("| ").split(" | ")
        if len(cells) == len(SUITES) and first.isalpha():
            said[first] = {name: cell != "—" for name, cell in zip(SUITES, cells, strict=True)}
    return said


def test_the_tables_say_of_every_message_what_is_so() -> None:
    said = outcomes()
    for kind in KINDS:
        samples = [message for message in MESSAGES if type(message) is kind]
        for name, suite in SUITES.items():
            spoken = not all(suite().is_silent(message) for message in samples)
            assert said[kind.__name__][name] is spoken, (kind, name)


def test_the_tables_say_of_every_command_what_is_so() -> None:
    said = outcomes()
    for kind in COMMANDS - {Join}:
        for name, suite in SUITES.items():
            assert said[kind.__name__][name] is (kind in suite.says), (kind, name)
    assert all(said["Join"].values())  # where there is no command for it, there is a path
    listed = {kind.__name__ for kind in KINDS | COMMANDS | {Tell}}
    assert said.keys() == listed | {"command", "message"}
