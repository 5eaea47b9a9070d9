"""What a client may send and must not, in families that follow those of the Autobahn suite.

A case is bytes and what must come back; the numbers are those of the suite where it has the same
case.  Nothing here knows a server.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from rooms.protocol.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from rooms.testing import Frame, client_close, client_frame

NORMAL, PROTOCOL_ERROR, INVALID_TEXT, TOO_BIG = 1000, 1002, 1007, 1009
GOODBYE = client_close(NORMAL)
RESERVED_OPCODES = {"data": (3, 4, 5, 6, 7), "control": (11, 12, 13, 14, 15)}


@dataclass(frozen=True)
class Case:
    """Bytes of a client, and the server's answer to them.

    Attributes:
        answers: The messages and pongs that come back; pongs may overtake messages.
        code: Of the server's Close frame.
        step: How many bytes are sent at once; 0 is all of them.
    """

    name: str
    sent: bytes
    answers: tuple[Frame, ...] = ()
    code: int = NORMAL
    step: int = 0


def text(payload: str | bytes) -> Frame:
    """Return the echo of a text."""
    return Frame(TEXT, payload.encode() if isinstance(payload, str) else payload)


def binary(payload: bytes) -> Frame:
    """Return the echo of bytes."""
    return Frame(BINARY, payload)


def pong(payload: bytes = b"") -> Frame:
    """Return the answer to a ping."""
    return Frame(PONG, payload)


def ping(payload: bytes = b"") -> bytes:
    """Return a client's ping."""
    return client_frame(payload, PING)


def first(payload: bytes | str, opcode: int = TEXT) -> bytes:
    """Return the first fragment of a message."""
    return client_frame(payload, opcode, fin=False)


def middle(payload: bytes | str) -> bytes:
    """Return a fragment that is neither the first nor the last."""
    return client_frame(payload, CONTINUATION, fin=False)


def last(payload: bytes | str) -> bytes:
    """Return the last fragment of a message."""
    return client_frame(payload, CONTINUATION)


def fragments(payload: bytes, size: int, opcode: int = TEXT) -> bytes:
    """Return a message cut into fragments of ``size`` bytes."""
    places = [*range(0, len(payload), size), len(payload)]
    parts = [payload[start:end] for start, end in pairwise(places)]
    if len(parts) == 1:
        return client_frame(payload, opcode)
    return first(parts[0], opcode) + b"".join(map(middle, parts[1:-1])) + last(parts[-1])


def polite(name: str, sent: bytes, *answers: Frame, step: int = 0) -> Case:
    """Return a case of a client that does nothing wrong and says goodbye."""
    return Case(name, sent + GOODBYE, answers, NORMAL, step)


def broken(name: str, sent: bytes, *answers: Frame, code: int = PROTOCOL_ERROR) -> Case:
    """Return a case of a client that does something that ends its connection."""
    return Case(name, sent, answers, code)


def octets(case: Case) -> Case:
    """Return the same case, sent a byte at a time."""
    return Case(f"{case.name}, a byte at a time", case.sent, case.answers, case.code, step=1)


def framing() -> list[Case]:
    """Family 1: whole messages of every size that has a header of its own, and around it."""
    sizes = (0, 1, 125, 126, 127, 128, 65535, 65536)
    cases = []
    for size in sizes:
        words, data = b"*" * size, b"\xfe" * size
        cases.append(polite(f"1.1 text of {size}", client_frame(words), text(words)))
        cases.append(polite(f"1.2 bytes of {size}", client_frame(data, BINARY), binary(data)))
    chopped = client_frame(b"*" * 65536)
    cases.append(polite("1.1.8 text of 65536 in chops", chopped, text(b"*" * 65536), step=997))
    return cases


def pings() -> list[Case]:
    """Family 2: every ping is answered by its own payload, no pong is."""
    odd = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
    longest = ping(b"\xfe" * 125)
    ten = [b"payload-%d" % number for number in range(10)]
    unasked = client_frame(b"unsolicited", PONG)
    return [
        polite("2.1 no payload", ping(), pong()),
        polite("2.2 text", ping(b"Hello, world!"), pong(b"Hello, world!")),
        polite("2.3 bytes", ping(odd), pong(odd)),
        polite("2.4 the longest", longest, pong(b"\xfe" * 125)),
        broken("2.5 too long", ping(b"\xfe" * 126)),
        octets(polite("2.6 the longest", longest, pong(b"\xfe" * 125))),
        polite("2.7 a pong that nobody asked for", client_frame(b"", PONG)),
        polite("2.8 one with a payload", unasked),
        polite("2.9 one before a ping", unasked + ping(b"ping"), pong(b"ping")),
        polite("2.10 ten pings", b"".join(map(ping, ten)), *map(pong, ten)),
        octets(polite("2.11 ten pings", b"".join(map(ping, ten)), *map(pong, ten))),
    ]


def reserved_bits() -> list[Case]:
    """Family 3: no extension is negotiated, so no reserved bit may be set."""
    hello = client_frame("Hello")
    cases = []
    for bits in range(1, 8):
        for what, opcode in (("text", TEXT), ("bytes", BINARY), ("ping", PING), ("close", CLOSE)):
            payload = b"\x03\xe8" if opcode == CLOSE else b"Hello"
            wrong = client_frame(payload, opcode, reserved=bits << 4)
            name = f"3 reserved bits {bits:03b} in {what}"
            cases.append(broken(name, hello + wrong + ping(), text("Hello")))
    return cases


def opcodes() -> list[Case]:
    """Family 4: opcodes that mean nothing end the connection; what came before is answered."""
    hello = client_frame("Hello")
    cases = []
    for kind, numbers in RESERVED_OPCODES.items():
        for number in numbers:
            for payload in (b"", b"Hello"):
                name = f"4 {kind} opcode {number} with {len(payload)} bytes"
                wrong = client_frame(payload, number)
                cases.append(broken(name, hello + wrong + ping(), text("Hello")))
    return cases


def fragmentation() -> list[Case]:
    """Family 5: fragments make one message; control frames may come between, nothing else."""
    ab, two = text("fragment1fragment2"), first("fragment1") + last("fragment2")
    between = first("fragment1") + ping(b"p") + last("fragment2")
    many = first("f1") + middle("f2") + ping(b"1") + middle("f3") + middle("f4") + ping(b"2")
    hello = client_frame("Hello")
    return [
        broken("5.1 a ping in fragments", client_frame(b"f1", PING, fin=False) + last("f2")),
        broken("5.2 a pong in fragments", client_frame(b"f1", PONG, fin=False) + last("f2")),
        polite("5.3 two fragments", two, ab),
        polite("5.4 two fragments in chops", two, ab, step=7),
        octets(polite("5.5 two fragments", two, ab)),
        polite("5.6 a ping between", between, pong(b"p"), ab),
        polite("5.7 a ping between, in chops", between, pong(b"p"), ab, step=7),
        octets(polite("5.8 a ping between", between, pong(b"p"), ab)),
        broken("5.9 an end of nothing", last("no") + hello),
        broken("5.12 a continuation of nothing", middle("no") + hello),
        broken("5.15 a continuation behind the end", two + middle("no") + hello, ab),
        broken("5.16 a message inside a message", first("f1") + hello + last("f2")),
        broken("5.17 an end of nothing, twice", (last("no") + hello) * 2),
        broken("5.18 two beginnings", first("fragment1") + first("fragment2")),
        polite(
            "5.19 five fragments with two pings",
            many + last("f5"),
            pong(b"1"),
            pong(b"2"),
            text("f1f2f3f4f5"),
        ),
        octets(
            polite("5.20 the same", many + last("f5"), pong(b"1"), pong(b"2"), text("f1f2f3f4f5"))
        ),
        polite("5.21 bytes in empty fragments", first("", BINARY) + last(""), binary(b"")),
        polite("5.22 messages behind fragments", two + hello + two, ab, text("Hello"), ab),
    ]


def closing() -> list[Case]:
    """Family 7: the closing handshake, and what may stand in it."""
    hello, half = client_frame("Hello"), first("half")
    big = b"*" * 262144
    return [
        polite("7.1.1 a message, then close", hello, text("Hello")),
        broken("7.1.2 two closes", GOODBYE + GOODBYE, code=NORMAL),
        broken("7.1.3 a ping behind", GOODBYE + ping(), code=NORMAL),
        broken("7.1.4 a message behind", GOODBYE + hello, code=NORMAL),
        broken("7.1.5 inside a message", half + GOODBYE + last("late"), code=NORMAL),
        broken(
            "7.1.6 behind a large one",
            client_frame(big) + hello + GOODBYE + ping(),
            text(big),
            text("Hello"),
            code=NORMAL,
        ),
        broken("7.3.1 no code", client_close(None), code=0),
        broken("7.3.2 half a code", client_frame(b"a", CLOSE)),
        broken("7.3.3 only a code", GOODBYE, code=NORMAL),
        broken("7.3.4 a reason", client_close(NORMAL, "Hello"), code=NORMAL),
        broken("7.3.5 the longest reason", client_close(NORMAL, "*" * 123), code=NORMAL),
        broken("7.3.6 one longer", client_close(NORMAL, "*" * 124)),
        broken("7.5.1 no UTF-8", client_frame(b"\x03\xe8\xce\xba\xed\xa0\x80", CLOSE), code=1007),
        *(broken(f"7.7 code {code}", client_close(code), code=code) for code in GOOD_CODES),
        *(broken(f"7.9 code {code}", client_close(code)) for code in BAD_CODES),
    ]


GOOD_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
BAD_CODES = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)


def limits() -> list[Case]:
    """Family 9, in small: large messages, many fragments, many messages; and 10.1.1."""
    large = b"\xf0\x9f\x99\x82" * 32768
    cases = [
        polite("9.1 128 KiB of text", client_frame(large), text(large)),
        polite("9.2 128 KiB of bytes", client_frame(large, BINARY), binary(large)),
        polite("9.7 500 messages", client_frame("*" * 64) * 500, *[text("*" * 64)] * 500),
        polite("9.8 500 of bytes", client_frame(b"\0", BINARY) * 500, *[binary(b"\0")] * 500),
        polite("10.1.1 65536 in 1300", fragments(b"*" * 65536, 1300), text(b"*" * 65536)),
        broken("9 over the limit", client_frame(b"*" * (LIMIT + 1)), code=TOO_BIG),
        broken("9 over it in two", fragments(b"*" * (LIMIT + 1), LIMIT), code=TOO_BIG),
        polite("9 at the limit", client_frame(b"*" * LIMIT), text(b"*" * LIMIT)),
    ]
    for size in (64, 256, 1024, 65536):
        cut = fragments(large[:65536], size)
        cases.append(polite(f"9.3 64 KiB in {size}", cut, text(large[:65536])))
    for size in (64, 1024, 65536):
        sent = client_frame(large)
        cases.append(polite(f"9.5 128 KiB in chops of {size}", sent, text(large), step=size))
    return cases


LIMIT = 262144
"""The largest message of the server that the cases are for, in bytes."""

FAMILIES = {
    "1 framing": framing,
    "2 ping and pong": pings,
    "3 reserved bits": reserved_bits,
    "4 opcodes": opcodes,
    "5 fragmentation": fragmentation,
    "7 closing": closing,
    "9 limits": limits,
}
