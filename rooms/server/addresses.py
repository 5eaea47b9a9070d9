"""What each address has of the server: so many connections, and so many handshakes a second."""

from __future__ import annotations

import math
from collections import OrderedDict
from http import HTTPStatus
from ipaddress import IPv6Address, IPv6Network

from rooms.config import Settings
from rooms.core.limits import Rate, TokenBucket, rate
from rooms.protocol.http import BadHead
from rooms.protocol.proxy import parse_address

BURST_SECONDS = 10.0
"""The handshakes of so many seconds may come at once: all who share an address after a restart."""

REMEMBERED = 8192
"""Addresses without a connection whose latest handshakes are remembered."""

RETRY_SECONDS = 5
"""When to ask again for a connection while an address has all that it may have."""

_NETWORK_BITS = 64  # what one household or server gets of IPv6 (RFC 6177)


class Account:
    """What one address has.

    Attributes:
        handshakes: That were ever begun.
    """

    __slots__ = ("bucket", "connections", "handshakes", "name")

    def __init__(self, name: str, bucket: TokenBucket) -> None:
        self.name = name
        self.bucket = bucket
        self.connections = 0
        self.handshakes = 0


class Addresses:
    """The accounts of all addresses that have, or had of late, a connection."""

    def __init__(self) -> None:
        self._present: dict[str, Account] = {}
        self._absent: OrderedDict[str, Account] = OrderedDict()

    def charge(self, host: str, settings: Settings, now: float) -> Account | None:
        """Count one more connection of ``host``; None if it is of those that are not counted.

        Args:
            now: The time in seconds, of any clock that only goes forward.

        Raises:
            BadHead: The address has reached a limit.
        """
        name = account_name(host)
        if name is None:
            return None
        limit = rate("handshakes", settings.handshakes_per_address, BURST_SECONDS)
        account = self._account(name, limit, now)
        most = settings.connections_per_address
        if most and account.connections >= most:
            raise BadHead(HTTPStatus.TOO_MANY_REQUESTS, "connections_per_address", RETRY_SECONDS)
        if limit.per_second:
            _check_rate(account, now)
        account.handshakes += 1
        self._absent.pop(name, None)
        self._present[name] = account
        account.connections += 1
        return account

    def release(self, account: Account) -> None:
        """Note that a connection of an address is closed."""
        account.connections -= 1
        if account.connections == 0:
            del self._present[account.name]
            self._remember(account)

    def _account(self, name: str, limit: Rate, now: float) -> Account:
        account = self._present.get(name) or self._absent.get(name)
        if account is None:
            account = Account(name, TokenBucket(limit, now))
            self._remember(account)
        elif account.bucket.rate is not limit:  # the settings were changed
            account.bucket, account.handshakes = TokenBucket(limit, now), 0
        return account

    def _remember(self, account: Account) -> None:
        self._absent[account.name] = account
        if len(self._absent) > REMEMBERED:
            self._absent.popitem(last=False)


def account_name(host: str) -> str | None:
    """Return what ``host`` is counted under: an IPv4 address, or a /64 network of IPv6.

    This machine's own addresses are not counted.  Whoever is here can do worse, and a proxy here
    that nobody has named in `trusted_proxies` is not to be taken for one greedy client.
    """
    address = parse_address(host)
    return None if address is None or address.is_loopback else network_of(host)


def network_of(host: str) -> str:
    """Return what one client has of addresses: one of IPv4, or a /64 network of IPv6."""
    address = parse_address(host)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), _NETWORK_BITS), strict=False))
    return host if address is None else str(address)


def _check_rate(account: Account, now: float) -> None:
    bucket = account.bucket
    bucket.refill(account.handshakes, now)
    if account.handshakes + 1 > bucket.until:
        seconds = math.ceil(bucket.seconds_until(account.handshakes + 1))
        raise BadHead(HTTPStatus.TOO_MANY_REQUESTS, "handshakes_per_address", seconds)
