"""The dialect contract as tests: any dialect that passes them works."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar, get_args

import msgspec

from rooms.errors import NormalClosure, RequestError, ShuttingDown
from rooms.protocol.commands import Command, Message, Push, SendEvent
from rooms.protocol.dialects.base import Dialect
from rooms.protocol.foreign import Said
from rooms.protocol.frames import BINARY, CLOSE, TEXT
from rooms.protocol.paths import PathPattern
from rooms.testing.frames import Frame, take_frame
from rooms.testing.samples import MESSAGES, PAYLOADS, publication

COMMANDS = frozenset(get_args(Command))
KINDS = frozenset(get_args(Message))
NOISES = 2000


class DialectSuite:
    """A test for each sentence of `Dialect`; needs pytest.

    Derive a class whose name begins with ``Test`` and say what the dialect has words for::

        class TestMyDialect(DialectSuite):
            dialect = MyDialect()
            says = {SendEvent: b"say hi", Join: b"join lobby"}
            never_says = {Auth, Leave, …}
            silent = {Welcome, PresenceChange, …}

    Every command is in one of the first two, every message is said unless it is `is_silent`.

    Attributes:
        says: How a client says a command.
        never_says: The commands that clients of this dialect cannot say.
        silent: The messages that they are never told.
        binary: Whether the client's messages are binary.
        parameters: What may stand for the parameters of the paths.
    """

    dialect: Dialect
    says: ClassVar[Mapping[type[Any], bytes]]
    never_says: ClassVar[AbstractSet[type[Any]]] = frozenset()
    silent: ClassVar[AbstractSet[type[Any]]] = frozenset()
    binary: ClassVar[bool] = False
    parameters: ClassVar[Mapping[str, str]] = {}

    def is_silent(self, message: Message) -> bool:
        """Whether clients are told nothing of ``message``; override it for special cases."""
        return type(message) in self.silent

    def decode(self, payload: bytes) -> tuple[Said, ...]:
        """Return the commands in a client's message."""
        decoded = self.dialect.decode(payload, self.binary)
        return decoded if isinstance(decoded, tuple) else (decoded,)

    # What clients say.

    def test_every_command_can_be_said_or_is_known_not_to_be(self) -> None:
        assert self.says.keys() | self.never_says == COMMANDS
        assert not self.says.keys() & self.never_says

    def test_what_is_said_is_the_command_that_is_meant(self) -> None:
        for kind, spelled in self.says.items():
            assert any(isinstance(command, kind) for command in self.decode(spelled)), spelled

    def test_whatever_comes_holds_commands_or_is_refused(self) -> None:
        for noise in noises(list(self.says.values())):
            for binary in (False, True):
                self._take(noise, binary)

    def _take(self, noise: bytes, binary: bool) -> None:
        if not binary and not is_text(noise):
            return  # that never gets here
        with contextlib.suppress(RequestError):
            decoded = self.dialect.decode(noise, binary)
            for command in decoded if isinstance(decoded, tuple) else (decoded,):
                if isinstance(command, SendEvent):
                    check_payload(command.payload)

    # What clients are told.

    def test_every_message_is_said_or_known_not_to_be(self) -> None:
        assert {type(message) for message in MESSAGES} == KINDS
        for message in MESSAGES:
            frames = whole_frames(self.dialect.encode(message))
            assert bool(frames) is not self.is_silent(message), message
            assert all(frame.opcode in (TEXT, BINARY) for frame in frames)

    def test_a_message_is_said_in_the_same_way_to_everybody(self) -> None:
        for message in MESSAGES:
            assert self.dialect.encode(message) == self.dialect.encode(message)

    def test_no_payload_is_too_hard_to_say(self) -> None:
        for payload in PAYLOADS:
            assert whole_frames(self.dialect.encode(publication(payload)))
            assert whole_frames(self.dialect.encode(Push("said", msgspec.Raw(payload))))

    def test_goodbyes_end_with_a_close_frame(self) -> None:
        for reason in (NormalClosure(), ShuttingDown("retry after 1 s")):
            *before, last = whole_frames(self.dialect.encode_close(reason))
            assert (last.opcode, last.code) == (CLOSE, reason.code)
            assert all(frame.opcode in (TEXT, BINARY) for frame in before)

    # Where they connect.

    def test_connections_open_at_every_path(self) -> None:
        assert self.dialect.name
        for path in self.dialect.paths:
            named = {name: self.parameters[name] for name in PathPattern(path).names}
            voice = self.dialect.open(named)
            assert all(isinstance(command, get_args(Said)) for command in voice.first)
            for spelled in self.says.values():
                voice.decode(spelled, self.binary)


def whole_frames(data: bytes) -> list[Frame]:
    """Return the frames in ``data``, which holds whole ones only; texts are UTF-8."""
    rest, frames = bytearray(data), []
    while rest:
        frame = take_frame(rest)
        assert frame is not None, "a frame is not whole"
        if frame.opcode == TEXT:
            frame.payload.decode()
        frames.append(frame)
    return frames


def check_payload(payload: msgspec.Raw) -> None:
    """Check that everybody can be sent what came: JSON in UTF-8."""
    json.dumps(json.loads(bytes(payload).decode()), ensure_ascii=False).encode()


def is_text(data: bytes) -> bool:
    """Whether a text frame may hold ``data`` (RFC 6455, section 8.1)."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def noises(spelled: list[bytes]) -> Iterator[bytes]:
    """Yield what nobody would say: noise, and messages that something happened to."""
    chance = random.Random(1)  # noqa: S311  # the same noise each time
    yield b""
    for _ in range(NOISES):
        data = bytearray(chance.choice(spelled))
        for _ in range(chance.randrange(4)):
            start = chance.randrange(len(data) + 1)
            data[start : start + chance.randrange(5)] = chance.randbytes(chance.randrange(4))
        yield bytes(data)
    yield from (bytes([byte]) * 2000 for byte in b"[{\x91\xff|,")
