"""Family 6: texts that are UTF-8 and texts that are not, cut at every place.

The judge of what is UTF-8 is Python's own strict decoder, so the lists only need to be telling.
"""

from __future__ import annotations

from rooms.protocol.frames import TEXT
from rooms.testing import client_frame
from tests.conformance.cases import INVALID_TEXT, Case, broken, first, last, polite, text

SHORT = "Hello-µ@ßöäüàá-UTF-8!!".encode()
GREEK = "κόσμε".encode()

VALID = {
    "6.1 nothing": b"",
    "6.2 some letters": SHORT,
    "6.5 Greek": GREEK,
    "6.7.1 the first of one byte": b"\x00",
    "6.7.2 the first of two": "\u0080".encode(),
    "6.7.3 the first of three": "\u0800".encode(),
    "6.7.4 the first of four": "\U00010000".encode(),
    "6.9.1 the last of one byte": b"\x7f",
    "6.9.2 the last of two": "\u07ff".encode(),
    "6.9.3 the last of three": "\uffff".encode(),
    "6.9.4 the last of all": "\U0010ffff".encode(),
    "6.11.1 before the surrogates": "\ud7ff".encode(),
    "6.11.2 behind the surrogates": "\ue000".encode(),
    "6.11.3 the replacement character": "\ufffd".encode(),
    "6.22 no characters": "\ufffe\uffff\ufdd0\ufdef\U0001fffe\U0010fffe".encode(),
    "6.23 private characters": "\ue000\uf8ff\U000f0000\U0010fffd".encode(),
}

INVALID = {
    "6.3 a surrogate behind letters": GREEK + b"\xed\xa0\x80edited",
    "6.4 over the last": GREEK + b"\xf4\x90\x80\x80edited",
    "6.6 cut off": GREEK[:-1],
    "6.8.1 the first of five": b"\xf8\x88\x80\x80\x80",
    "6.8.2 the first of six": b"\xfc\x84\x80\x80\x80\x80",
    "6.10.1 over the last of all": b"\xf7\xbf\xbf\xbf",
    "6.10.2 the last of five": b"\xfb\xbf\xbf\xbf\xbf",
    "6.10.3 the last of six": b"\xfd\xbf\xbf\xbf\xbf\xbf",
    "6.12.1 the first continuation": b"\x80",
    "6.12.2 the last continuation": b"\xbf",
    "6.12.3 many continuations": bytes(range(0x80, 0xC0)),
    "6.13.1 beginnings of two": b"\xc2 \xdf ",
    "6.13.2 beginnings of three": b"\xe0 \xef ",
    "6.13.3 beginnings of four": b"\xf0 \xf4 ",
    "6.14.1 two without the last": b"\xc2",
    "6.14.2 three without the last": b"\xe0\xa0",
    "6.14.3 four without the last": b"\xf0\x90\x80",
    "6.15 all of these": b"\xc2\xe0\xa0\xf0\x90\x80",
    "6.16 what never stands in it": b"\xfe\xff",
    "6.17.1 a slash in two": b"\xc0\xaf",
    "6.17.2 a slash in three": b"\xe0\x80\xaf",
    "6.17.3 a slash in four": b"\xf0\x80\x80\xaf",
    "6.18 the longest too long": b"\xc1\xbf\xe0\x9f\xbf\xf0\x8f\xbf\xbf",
    "6.19 a NUL in two": b"\xc0\x80",
    "6.20 single surrogates": b"\xed\xa0\x80 \xed\xbf\xbf",
    "6.21 a pair of surrogates": b"\xed\xa0\x80\xed\xb0\x80",
}


def utf8() -> list[Case]:
    """Return each text whole, a fragment a byte, and in two fragments at every place."""
    cases = []
    for name, data in (VALID | INVALID).items():
        cases += [_case(f"{name}, whole", client_frame(data), data)]
        cases += [_case(f"{name}, a fragment a byte", _crumbs(data), data)]
        for place in range(1, len(data)):
            cut = first(data[:place]) + last(data[place:])
            cases.append(_case(f"{name}, cut at {place}", cut, data))
    return cases


def is_utf8(data: bytes) -> bool:
    """Whether ``data`` is UTF-8 (RFC 3629)."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _case(name: str, sent: bytes, data: bytes) -> Case:
    return (
        polite(name, sent, text(data)) if is_utf8(data) else broken(name, sent, code=INVALID_TEXT)
    )


def _crumbs(data: bytes) -> bytes:
    """Return a message with a fragment for every byte, and an empty one at the end."""
    head = first(data[:1], TEXT)
    rest = b"".join(client_frame(data[at : at + 1], 0, fin=False) for at in range(1, len(data)))
    return head + rest + last(b"")
