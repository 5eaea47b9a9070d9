"""One of every message that a server says, and payloads that are hard to say."""

from __future__ import annotations

from msgspec import UNSET, Raw

from rooms.protocol.commands import (
    Dropped,
    ErrorReply,
    Left,
    Limits,
    Message,
    Missed,
    Origin,
    PongReply,
    Position,
    PresenceChange,
    Publication,
    Push,
    Reply,
    User,
    Welcome,
)

POSITION = Position("e1", 42)

PAYLOADS: tuple[bytes, ...] = (
    b"null",
    b"{}",
    b"[]",
    b'""',
    b"-1.50",
    b'{"text": "hi"}',
    b'["a","b"]',
    b'["a,b","c|d"]',
    '{"\u017e": "\U0001f600 \u2028"}'.encode(),
    b'"\\u0000\\n|,\\""',
    b'{"event":"e","payload":1}',
    b'{"payload":{"payload":{}}}',
    b'{"type":"send","error":null}',
    b"18446744073709551616",
    b"-1e400",
    b"9" * 400,
    b"[" * 300 + b"]" * 300,
    b"[" * 3000 + b"]" * 3000,
)
"""JSON that may come from anywhere, some of it more than most languages can hold."""


def publication(payload: bytes = b'{"text":"hi"}', event: str = "said") -> Publication:
    """Return a publication as a room's members get it."""
    return Publication(
        event=event,
        room="chat/1",
        payload=Raw(payload),
        sender=Origin("c7", "ana"),
        position=POSITION,
    )


MESSAGES: tuple[Message, ...] = (
    Welcome(client="c7", user=None, ping=25, limits=Limits(message=65536, rooms=128)),
    Welcome(client="c7", user=User("ana", "Ana"), ping=25, limits=Limits(65536, 128)),
    Reply(id=1),
    Reply(id="say", position=POSITION),
    Reply(id="echo", payload={"text": "\u017e"}),
    Reply(id=2, room="lobby", position=POSITION, presence={"ana": [{"client": "c7"}]}, count=1),
    Reply(id=3, room="lobby", recovered=True, missed=[publication()], more=False),
    Reply(id=4, room="lobby", publications=[publication(b"9" * 400)], more=True),
    Missed(room="lobby", missed=[publication()], more=False),
    publication(),
    Publication(event="news", room="chat/1", payload=Raw(b"null"), sender=UNSET, position=POSITION),
    Push("hello", Raw(b'{"you":"c7"}')),
    Push("hello", Raw(b"1"), Raw(b'{"h":"1"}')),
    PresenceChange(
        room="lobby", joined={"ana": [{"client": "c7"}]}, left={}, count=1, position=POSITION
    ),
    Dropped(room="lobby", count=3, position=POSITION),
    Left(room="lobby", reason="forbidden"),
    Left(filter="news/#", reason="forbidden"),
    ErrorReply(id="say", code="not_member", message="Join 'lobby' first, please | now."),
    ErrorReply(code="malformed", message="No."),
    ErrorReply(id=5, code="rate_limited", message="Wait.", retry_after=1.5),
    PongReply(),
    PongReply(id=6),
)
"""Every kind of message at least once."""
