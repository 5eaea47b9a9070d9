"""Takes note of everybody who was not let in, and floods no log with it."""

from __future__ import annotations

from http import HTTPStatus

import structlog
import trio

from rooms.errors import Refused
from rooms.protocol.http import BadHead
from rooms.server.counters import Counters

QUIET_SECONDS = 1.0
"""Time for which a log says nothing more of what it has just said."""

ADVICE = {
    "connections": "raise `connections` and the descriptors it needs, or add a server",
    "connections_per_address": "raise `connections_per_address` if many share one address",
    "handshakes_per_address": "raise `handshakes_per_address` if many share one address",
    "pending_handshakes": "somebody opens connections and says nothing, or the network is slow",
    "overload": "this server is too busy: give it less to do, or add another",
    "slow_auth": "checking credentials takes too long: see what the authenticators wait for",
    "proxy_protocol": "have the trusted proxies send a PROXY protocol header, or turn it off here",
}
"""What can be done about each reason that an operator should hear of."""

OTHER_ORIGIN = "origin refused: add it to the setting `origins` to allow it"
NO_ORIGIN = "no origin: turn the setting `origin_required` off to allow clients that send none"
ORIGIN_REFUSED = "This server takes no connections from pages of that origin."

RETRY_SECONDS = 2
"""When to try again if credentials could not be checked."""

LATER = (429, 503)
"""With these the same may be let in later."""

_ANSWERS = {
    401: (HTTPStatus.UNAUTHORIZED, "unauthorized"),
    403: (HTTPStatus.FORBIDDEN, "forbidden"),
    429: (HTTPStatus.TOO_MANY_REQUESTS, "rate_limited"),
    500: (HTTPStatus.INTERNAL_SERVER_ERROR, "internal"),
    503: (HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"),
}

log = structlog.get_logger("rooms")


class SeldomLog:
    """Keeps what happens a thousand times a second to one line a second."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def turn(self, topic: str) -> int | None:
        """Return None if nothing is to be said of ``topic`` now; else how often it was not."""
        now = trio.current_time()
        if now - self._said.get(topic, -QUIET_SECONDS) < QUIET_SECONDS:
            self._unsaid[topic] = self._unsaid.get(topic, 0) + 1
            return None
        self._said[topic] = now
        return self._unsaid.pop(topic, 0)


class Refusals:
    """Counts the refusals of one node by reason, and logs those that matter to an operator."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._log = SeldomLog()

    def note(self, refusal: BadHead, remote: str) -> None:
        """Take note that ``remote`` was refused."""
        self._counters.add("refusals", refusal.reason)
        if refusal.reason in ADVICE:
            self._warn(refusal.reason, remote)
        else:
            log.debug("request refused", remote=remote, reason=refusal.reason)

    def of_origin(self, origin: str | None, host: str, remote: str) -> BadHead:
        """Say, though not each time, that an origin was refused; return its refusal."""
        unsaid = self._log.turn("origin")
        if unsaid is not None:
            event = NO_ORIGIN if origin is None else OTHER_ORIGIN
            log.warning(event, origin=origin, host=host, remote=remote, unsaid=unsaid)
        return BadHead(HTTPStatus.FORBIDDEN, "origin", message=ORIGIN_REFUSED)

    def of_credentials(self, refused: Refused, remote: str) -> BadHead:
        """Say, though not each time, that somebody did not get in; return the answer to that."""
        unsaid = self._log.turn("credentials")
        if unsaid is not None:
            log.info("sign-in refused", reason=refused.detail, remote=remote, unsaid=unsaid)
        status, reason = _ANSWERS.get(refused.status, _ANSWERS[401])
        retry_after = RETRY_SECONDS if refused.status in LATER else None
        return BadHead(status, reason, retry_after, refused.reason)

    def _warn(self, reason: str, remote: str) -> None:
        unsaid = self._log.turn(reason)
        if unsaid is not None:
            log.warning(
                "connection refused",
                reason=reason,
                advice=ADVICE[reason],
                remote=remote,
                unsaid=unsaid,
            )
