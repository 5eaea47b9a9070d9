"""A link that speaks TLS, by OpenSSL over memory (`ssl.MemoryBIO`), with nothing in between.

Encrypting is plain computation, so a frame can be encrypted and sent at once from wherever it is
written, as in clear text; only what the kernel does not take needs a task.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable

import trio

from rooms.protocol.certificate import Certificate, parse_certificate
from rooms.transports.base import Link

UNREAD_BYTES = 65536
"""The most that TLS itself may have to say to a peer that does not read."""

PLAIN_BYTES = 65536
"""Bytes decrypted in one call; a record holds 16 KiB (RFC 8446, section 5.1)."""


class TlsLink(Link):
    """The server's side of a TLS connection over another link.

    Args:
        inner: Carries the encrypted bytes.
        context: Has the certificate.
    """

    __slots__ = (
        "_call",
        "_encrypted",
        "_flushing",
        "_incoming",
        "_outgoing",
        "_tls",
        "_unsent",
        "inner",
    )

    secure = True

    def __init__(self, inner: Link, context: ssl.SSLContext) -> None:
        self.inner = inner
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._unsent = b""  # encrypted; has to go before anything else
        self._flushing = False  # whether `send_all` is at it, which may not be interrupted
        self._encrypted = 0  # bytes of what `send_all` is to be given that `_unsent` holds already
        self._call: Callable[[bytes], None]

    async def shake_hands(self, received: bytes = b"") -> None:
        """Do the TLS handshake (RFC 8446, section 2).

        Args:
            received: What has been read of it already.

        Raises:
            trio.BrokenResourceError: The peer does not speak TLS, or not as this server does.
        """
        self._incoming.write(received)
        try:
            while not self._shake_hands_further():
                await self._flush()
                data = await self.inner.receive_some()
                if not data:
                    raise trio.BrokenResourceError("closed during the TLS handshake")
                self._incoming.write(data)
        except ssl.SSLError as error:
            with contextlib.suppress(trio.BrokenResourceError):
                await self._flush()  # the alert says why
            raise trio.BrokenResourceError(f"TLS handshake failed: {error.reason}") from error
        await self._flush()

    @property
    def certificate(self) -> Certificate | None:
        """The client's own, which has been verified, or None if it showed none."""
        return parse_certificate(self._tls.getpeercert())

    def send_nowait(self, data: bytes) -> int:
        """Send all of ``data`` or, as far as the peer can tell, nothing.

        What was not sent has been encrypted, so it has to be given to `send_all` next, first.
        """
        self._encrypt(data)
        with contextlib.suppress(BlockingIOError):
            self._unsent = self._unsent[self.inner.send_nowait(self._unsent) :]
        self._encrypted = len(data) if self._unsent else 0
        return len(data) - self._encrypted

    async def send_all(self, data: bytes) -> None:
        try:
            self._encrypt(data[self._encrypted :])
        except ssl.SSLError as error:
            raise trio.BrokenResourceError(f"TLS failed: {error.reason}") from error
        self._encrypted = 0
        self._flushing = True
        await self._flush()
        self._flushing = False

    async def receive_some(self) -> bytes:
        while True:
            parts = []  # all there is: once the link is watched, nobody asks for what stays behind
            while plain := self._decrypt():
                parts.append(plain)
            if parts or plain is not None:
                return b"".join(parts)
            data = await self.inner.receive_some()
            if not data:
                return b""  # frames and HTTP say themselves whether they are complete
            self._incoming.write(data)

    def watch(self, call: Callable[[bytes], None]) -> bool:
        self._call = call
        return self.inner.watch(self._readable)

    def progress(self) -> int | None:
        return self.inner.progress()

    def pause(self) -> None:
        self.inner.pause()

    def resume(self) -> None:
        self.inner.resume()

    async def finish(self) -> None:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            self._say_goodbye()
            await self._flush()
            await self.inner.finish()

    async def aclose(self) -> None:
        with contextlib.suppress(OSError):
            self._say_goodbye()
            self._encrypt(b"")
            self.inner.send_nowait(self._unsent)
        await self.inner.aclose()

    def _say_goodbye(self) -> None:
        """Encrypt our goodbye, once (RFC 8446, section 6.1)."""
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()

    def _shake_hands_further(self) -> bool:
        """Return whether the handshake is done, or more of the peer is needed."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def _encrypt(self, data: bytes) -> None:
        if data:
            self._tls.write(data)
        self._unsent += self._outgoing.read()

    async def _flush(self) -> None:
        """Send whatever is encrypted and not sent yet."""
        self._encrypt(b"")
        unsent, self._unsent = self._unsent, b""
        if unsent:
            await self.inner.send_all(unsent)

    def _decrypt(self) -> bytes | None:
        """Return what can be read, nothing at the end, or None if more must arrive first."""
        try:
            return self._tls.read(PLAIN_BYTES)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLError as error:
            raise trio.BrokenResourceError(f"TLS failed: {error.reason}") from error

    def _readable(self, data: bytes) -> None:
        """Pass on all that ``data`` decrypts to."""
        if not data:
            self._call(b"")
            return
        self._incoming.write(data)
        try:
            while (plain := self._decrypt()) is not None:
                self._call(plain)
                if not plain:
                    return
            self._answer()
        except (trio.BrokenResourceError, OSError):
            self._call(b"")

    def _answer(self) -> None:
        """Send what OpenSSL answers by itself, such as to a KeyUpdate (RFC 8446, section 4.6.3).

        Raises:
            trio.BrokenResourceError: The peer asks for answers and does not read them.
        """
        if not self._outgoing.pending:
            return
        self._encrypt(b"")
        if not self._flushing:
            with contextlib.suppress(BlockingIOError):
                self._unsent = self._unsent[self.inner.send_nowait(self._unsent) :]
        if len(self._unsent) - self._encrypted > UNREAD_BYTES:
            raise trio.BrokenResourceError("the peer does not read TLS's own answers")
