"""Who gets in: how many at all, how many of one address, and how many who keep us waiting."""

from __future__ import annotations

from http import HTTPStatus

import structlog
import trio

from rooms.config import Settings
from rooms.errors import ConfigError
from rooms.protocol.http import BadHead
from rooms.protocol.origin import Origins
from rooms.protocol.proxy import Endpoint, Networks
from rooms.server.addresses import Account, Addresses
from rooms.server.descriptors import connections_for, descriptors
from rooms.server.refusals import Refusals

LINGERING = 128
"""Refused clients that are waited for at a time, so that each can read why."""

LINGER_SECONDS = 1.0
"""How long such a client has to get as far as being told."""


log = structlog.get_logger("rooms")


class Visit:
    """One connection, on its way in and until it is closed.

    Attributes:
        remote: The client's address as text, as far as it is known yet.
        proxy: The trusted proxy whose word about the client counts, if there is one.
        refusal: Why it is not let in, if that is so.
        scope: Around all that it has to do to get in; None once that is over.
        counted: Whether it is one of the connections that are limited.
        account: What it is charged to, if it is.
    """

    __slots__ = ("account", "counted", "proxy", "refusal", "remote", "scope")

    def __init__(self, remote: str, seconds: float) -> None:
        self.remote = remote
        self.proxy: Endpoint | None = None
        self.refusal: BadHead | None = None
        self.scope: trio.CancelScope | None = trio.CancelScope(
            deadline=trio.current_time() + seconds
        )
        self.counted = False
        self.account: Account | None = None

    @property
    def charged_to(self) -> str:
        """Whose tries count together: its network's, or its own where many are behind one."""
        return self.remote if self.account is None else self.account.name


class Admission:
    """Lets connections in, within the limits.  Plain calls that never wait.

    Addresses of this machine and of trusted proxies have no limits of their own: behind each of
    them may be everybody.

    Raises:
        ConfigError: As `configure`.

    Attributes:
        connections: How many there are.
        limit: How many there may be.
        proxies: Whose word about a client's address counts.
        origins: Whose pages may open a WebSocket, beside the server's own.
        cors: Whose pages may read what HTTP answers.
    """

    def __init__(self, settings: Settings, refusals: Refusals) -> None:
        self.connections = 0
        self._refusals = refusals
        self._addresses = Addresses()
        self._pending: dict[Visit, None] = {}
        self._settled = trio.lowlevel.ParkingLot()
        self._lingering = 0
        self._turned_away = 0
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Have the limits of ``settings`` hold for whoever comes from now on.

        Raises:
            ConfigError: A trusted proxy is not an address or a network, or what is listed as an
                origin is none; nothing has changed.
        """
        try:
            proxies = Networks(settings.trusted_proxies)
        except ValueError as error:
            raise ConfigError(f"trusted_proxies must be addresses or networks: {error}.") from None
        origins = _origins("origins", settings.origins)
        self.cors = _origins("cors_origins", settings.cors_origins, subdomains=False)
        self.origins, self.proxies = origins, proxies
        self._settings = settings
        available = descriptors()
        self.limit = settings.connections or connections_for(available)
        if self.limit > connections_for(available):
            log.warning(
                "not enough descriptors for so many connections: raise `ulimit -n`",
                connections=self.limit,
                descriptors=available,
            )

    def arrive(self, peer: Endpoint) -> Visit | BadHead:
        """Return a new connection's visit, or a refusal if there is no time to wait for it.

        A visit may have been refused too: then it is to be told why, and has a moment to read it.
        """
        visit = Visit(str(peer), self._settings.head_seconds)
        try:
            if self.connections >= self.limit:
                raise self.refusal("connections")
            if peer.host in self.proxies:
                visit.proxy = peer
            else:
                self._charge(visit, peer.host)
        except BadHead as refusal:
            return self._refuse_at_once(visit, refusal)
        self._enter(visit)
        return visit

    def arrive_unlimited(self, remote: str) -> Visit:
        """Return the visit of a connection without an address, which is let in."""
        visit = Visit(remote, self._settings.head_seconds)
        self._enter(visit)
        return visit

    def introduce(self, visit: Visit, client: Endpoint) -> None:
        """Believe that a visit is the one of ``client``, for whom a trusted proxy speaks.

        Raises:
            BadHead: The address of that client has reached a limit.
        """
        visit.remote = str(client)
        visit.proxy = client if client.host in self.proxies else None
        if visit.proxy is None:
            self._charge(visit, client.host)

    def opened(self, visit: Visit) -> None:
        """Note that a visit keeps nobody waiting any more."""
        visit.scope = None
        self._pending.pop(visit, None)
        if not self._pending:
            self._settled.unpark_all()

    @property
    def pending(self) -> int:
        """How many have been let in and have not said what they want."""
        return len(self._pending)

    async def settled(self) -> None:
        """Wait until everybody who has been let in has said what they want."""
        while self._pending:
            await self._settled.park()

    def leave(self, visit: Visit) -> None:
        """Note that a connection is closed."""
        self.opened(visit)
        if visit.counted:
            self.connections -= 1
        else:
            self._lingering -= 1
        if visit.account is not None:
            self._addresses.release(visit.account)

    def refusal(self, reason: str) -> BadHead:
        """Return a refusal that is not the client's fault.

        Those who are turned away are asked back after different times, not all at once.
        """
        self._turned_away += 1
        return BadHead(HTTPStatus.SERVICE_UNAVAILABLE, reason, 2 + self._turned_away % 8)

    def _charge(self, visit: Visit, host: str) -> None:
        visit.account = self._addresses.charge(host, self._settings, trio.current_time())

    def _enter(self, visit: Visit) -> None:
        """Let a visit begin; too many who say nothing cost the one who has done so longest."""
        visit.counted = True
        self.connections += 1
        self._pending[visit] = None
        if len(self._pending) > self._settings.pending_handshakes:
            self._give_up(next(iter(self._pending)))

    def _give_up(self, visit: Visit) -> None:
        del self._pending[visit]
        visit.refusal = self.refusal("pending_handshakes")
        self._refusals.note(visit.refusal, visit.remote)
        if visit.scope is not None:
            visit.scope.cancel()  # it may not even have begun

    def _refuse_at_once(self, visit: Visit, refusal: BadHead) -> Visit | BadHead:
        self._refusals.note(refusal, visit.remote)
        if self._lingering >= LINGERING:
            return refusal
        self._lingering += 1
        visit.refusal = refusal
        if visit.scope is not None:
            visit.scope.deadline = trio.current_time() + LINGER_SECONDS
        return visit


def _origins(setting: str, texts: tuple[str, ...], *, subdomains: bool = True) -> Origins:
    try:
        return Origins(texts, subdomains=subdomains)
    except ValueError as error:
        raise ConfigError(f"{setting}: {error}.") from None
