"""What reads bytes that strangers send, each with what must be true whatever they are.

A target takes any bytes.  It raises nothing, unless there is a bug: errors that its decoder
declares are caught here, by name, and what comes out is put to use.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import UNSET

from rooms.core.history import page_offsets
from rooms.errors import RequestError
from rooms.http.errors import ApiError
from rooms.http.requests import decode
from rooms.http.views import DisconnectOrder, EventOrder
from rooms.protocol.commands import (
    Command,
    ErrorReply,
    Join,
    ListHistory,
    Position,
    Publication,
    Push,
    Reply,
    SendEvent,
)
from rooms.protocol.dialects import DIALECTS, Dialects, find_dialects
from rooms.protocol.dialects.msgpack import NativeMsgpack
from rooms.protocol.dialects.native import NativeJson
from rooms.protocol.foreign import Tell
from rooms.protocol.handshake import accept_answer
from rooms.protocol.http import (
    END_OF_HEAD,
    BadHead,
    RequestHead,
    check_start,
    parse_head,
    parse_headers,
)
from rooms.protocol.names import check_event, check_name, check_room
from rooms.protocol.origin import parse_origin, same_origin, site_of
from rooms.protocol.proxy import (
    BadProxyHeader,
    Networks,
    client_behind,
    parse_endpoint,
    parse_proxy_header,
)
from rooms.protocol.topics import parse_filter
from rooms.testing.frames import take_frame
from tests.protocol.oracle import judge, sort

CORPUS = Path(__file__).parent / "corpus"
MESSAGE_BYTES = 300
SPOKEN = Dialects(find_dialects(DIALECTS))
FOREIGN = (*DIALECTS["zaptools"], *DIALECTS["fdw"], *DIALECTS["tranzit"])
FIRST, LAST = 5, Position("e", 20)
"""What the room of the target ``positions`` keeps."""

Target = Callable[[bytes], None]


def fuzz_head(data: bytes) -> None:
    """Read a request's head; what is taken can be asked for all that is asked of it."""
    with contextlib.suppress(BadHead):
        check_start(data)
        head = parse_head(data + END_OF_HEAD)
        assert parse_headers(head.raw) == head.headers
        assert isinstance(head.is_websocket and head.has_body, bool)
        assert all(head.subprotocols)
        kept = head.without_upgrade()
        assert kept.endswith(END_OF_HEAD)
        assert "upgrade" not in parse_headers(kept)


def fuzz_handshake(data: bytes) -> None:
    """Answer a request for a WebSocket; nothing of the request gets into the answer by itself."""
    with contextlib.suppress(BadHead):
        head = parse_head(data + END_OF_HEAD)
        chosen = SPOKEN.choose(head.path, head.subprotocols)
        subprotocol = None if chosen is None else chosen.subprotocol
        answer = accept_answer(head, subprotocol)
        assert answer.count(b"\r\n") == (5 if subprotocol is None else 6)
        assert answer.endswith(END_OF_HEAD)
        _check_origin(head)


def _check_origin(head: RequestHead) -> None:
    origin, site = head.headers.get("origin", ""), site_of(head.headers, tls=False)
    if same_origin(origin, site):
        parsed = parse_origin(origin)
        assert parsed is not None
        assert site.host.lower() in (parsed.host, f"{parsed.host}:{site.host.rpartition(':')[2]}")


def fuzz_frames(data: bytes) -> None:
    """Sort a client's frames; it must come to what wsproto alone comes to.

    The first byte says how many bytes come at once.
    """
    step, stream = (data[0] or 1024, data[1:]) if data else (1, b"")
    chunks = [stream[start : start + step] for start in range(0, len(stream), step)]
    ours, theirs = sort(chunks, MESSAGE_BYTES), judge(chunks, MESSAGE_BYTES)
    assert ours.messages == theirs.messages
    # wsproto looks early at the text of a last frame that is not whole yet
    assert ours.code == theirs.code or (ours.code, theirs.code) == (None, 1007)


def fuzz_native(data: bytes) -> None:
    """Decode a message of the native protocol; what the client is answered can be encoded.

    Texts are UTF-8 when they come here, so what is not comes as bytes.
    """
    dialect = NativeJson()
    try:
        command = dialect.decode(data, binary=_text(data) is None)
    except RequestError as error:
        command_id = UNSET if error.id is None else error.id
        refusal = ErrorReply(id=command_id, code=error.code, message=error.message)
        assert _spelled(dialect.encode(refusal))["type"] == "error"
        return
    _answer(dialect, command)


def fuzz_msgpack(data: bytes) -> None:
    """Decode a message of the native protocol in MessagePack; what it publishes can be encoded."""
    dialect = NativeMsgpack()
    with contextlib.suppress(RequestError):
        command = dialect.decode(data, binary=True)
        if isinstance(command, SendEvent):
            frame = take_frame(bytearray(dialect.encode(Push("e", command.payload))))
            assert frame is not None
            assert msgspec.msgpack.decode(frame.payload)["event"] == "e"
            msgspec.json.decode(command.payload)


def fuzz_foreign(data: bytes) -> None:
    """Decode a message of each other dialect; what it publishes can be encoded in all of them.

    Texts are UTF-8 when they come here, so what is not comes as bytes.
    """
    for dialect in FOREIGN:
        with contextlib.suppress(RequestError):
            decoded = dialect.decode(data, binary=_text(data) is None)
            for command in decoded if isinstance(decoded, tuple) else (decoded,):
                if isinstance(command, SendEvent | Tell):
                    _pass_on(command)


def _pass_on(command: SendEvent | Tell) -> None:
    json.loads(bytes(command.payload))
    for dialect in FOREIGN:
        frames = dialect.encode(Push(command.event, command.payload))
        taken = take_frame(bytearray(frames))
        assert taken is None or taken.payload.decode()


def _answer(dialect: NativeJson, command: Command) -> None:
    if command.id is not None:
        answer = _spelled(dialect.encode(Reply(id=command.id)))
        assert answer == {"type": "reply", "id": command.id}
    if isinstance(command, SendEvent):
        with contextlib.suppress(RequestError):
            _relay(dialect, command)


def _relay(dialect: NativeJson, command: SendEvent) -> None:
    """Pass an event on as it came: everybody must be able to read it."""
    event, room = check_event(command.event), check_room(command.room or "lobby")
    publication = Publication(
        event=event, room=room, payload=command.payload, position=Position("e", 1)
    )
    heard = _spelled(dialect.encode(publication))
    assert (heard["event"], heard["room"]) == (event, room)


def _spelled(frame: bytes) -> dict[str, object]:
    """Return what a client reads in a frame: JSON in UTF-8."""
    taken = take_frame(bytearray(frame))
    assert taken is not None
    message: dict[str, object] = msgspec.json.decode(taken.payload.decode())
    return message


def _text(data: bytes, errors: str = "strict") -> str | None:
    try:
        return data.decode("utf-8", errors)
    except UnicodeDecodeError:
        return None


def fuzz_names(data: bytes) -> None:
    """Check a name; one that may be used is the same when it is checked again."""
    name = _text(data, "surrogatepass") or data.decode("latin-1")
    for check in (check_name, check_room, check_event):
        with contextlib.suppress(RequestError):
            assert check(name) == name
            assert len(name.encode()) <= 255


def fuzz_filters(data: bytes) -> None:
    """Read two filters and a room's name, a line each; matching and overlapping must agree."""
    lines = data.decode("utf-8", "replace").split("\n")
    with contextlib.suppress(RequestError):
        first, second = parse_filter(lines[0]), parse_filter(lines[1] if lines[1:] else "#")
        room = check_room(lines[2] if lines[2:] else lines[0])
        assert first.overlaps(second) == second.overlaps(first)
        assert first.overlaps(first) or first.text.startswith("$")
        if first.matches(room) and second.matches(room):
            assert first.overlaps(second)


def fuzz_positions(data: bytes) -> None:
    """Ask for a page of history by any positions; it is within what there is."""
    try:
        command = NativeJson().decode(data, binary=False)
    except RequestError:
        return
    if not isinstance(command, Join | ListHistory):
        return
    since = command.since
    before = command.before if isinstance(command, ListHistory) else None
    newest = isinstance(command, ListHistory) and command.order != "oldest"
    with contextlib.suppress(RequestError):
        offsets, _ = page_offsets(LAST, FIRST, 10, since, before, newest)
        assert set(offsets) <= set(range(FIRST, LAST.offset + 1))


def fuzz_admin(data: bytes) -> None:
    """Decode the body of an order to the admin API."""
    for kind in (EventOrder, DisconnectOrder):
        with contextlib.suppress(ApiError):
            msgspec.json.encode(decode(data, kind))


def fuzz_proxy(data: bytes) -> None:
    """Read what a proxy sends before the request; cut anywhere, it is not something else."""
    try:
        header = parse_proxy_header(data)
    except BadProxyHeader:
        return
    if header is not None:
        assert 0 < header.size <= len(data)
        assert parse_proxy_header(data[: header.size]) == header
        assert parse_proxy_header(data[: header.size - 1]) is None


def fuzz_forwarded(data: bytes) -> None:
    """Find the client behind proxies; nobody but a trusted proxy is believed."""
    claim = data.decode("latin-1")
    peer = parse_endpoint("192.0.2.1")
    assert peer is not None
    for header in ("forwarded", "x-forwarded-for"):
        headers = {header: claim}
        assert client_behind(peer, headers, header, Networks()) == peer
        found = client_behind(peer, headers, header, Networks(["192.0.2.0/24"]))
        assert parse_endpoint(found.host) is not None


TARGETS: dict[str, Target] = {
    "head": fuzz_head,
    "handshake": fuzz_handshake,
    "frames": fuzz_frames,
    "native": fuzz_native,
    "msgpack": fuzz_msgpack,
    "foreign": fuzz_foreign,
    "names": fuzz_names,
    "filters": fuzz_filters,
    "positions": fuzz_positions,
    "admin": fuzz_admin,
    "proxy": fuzz_proxy,
    "forwarded": fuzz_forwarded,
}


def corpus(target: str) -> list[bytes]:
    """Return the inputs that are kept for a target, in the order of their names."""
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]
