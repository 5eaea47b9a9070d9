"""What one connection may do: asked anew each time, of rules and grants."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog
import trio

from rooms.core.grants import Action
from rooms.core.identity import Identity
from rooms.errors import Forbidden, Internal, RequestError, Unavailable
from rooms.protocol.commands import Left, SendEvent
from rooms.protocol.names import check_room
from rooms.protocol.topics import Filter, parse_filter
from rooms.server import membership
from rooms.server.authorize import Access, Answer, Rule, filter_access, room_access
from rooms.server.passes import Pass, Passes

if TYPE_CHECKING:
    from rooms.server.session import Session

log = structlog.get_logger("rooms")

RECHECK_SECONDS = 10.0
"""How long a rule may take to say whether a member may stay; then it may not."""


class Guard:
    """Decides for one connection; only those have one who are under any rule or grant.

    A rule that says False denies.  Else a rule that says True, or a grant, allows.  Else a room is
    closed if any rule concerns it or the client's token names what it may do, and open if not.

    Attributes:
        turn: Counts how often rights may have changed: what was allowed in an earlier one, and
            then had to wait, has to be asked for again.
    """

    __slots__ = ("_checking", "_passes", "_session", "turn")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._checking = False
        self._passes: Passes | None = None
        self.turn = 0

    def permit_now(self, access: Access) -> None:
        """Do nothing if the client may do that.

        Raises:
            RequestError: It may not; `Forbidden`, if no rule says otherwise.
            trio.WouldBlock: A rule must be waited for; await `permit`.
        """
        rules = self._concerning(access)
        if any(rule.waits for rule in rules if rule.asked(access)):
            raise trio.WouldBlock
        answers = [
            _counted(rule, access, rule.function(access)) for rule in rules if rule.asked(access)
        ]
        self._conclude(access, rules, answers)

    async def permit(self, access: Access) -> None:
        """As `permit_now`, waiting where that would block.

        Raises:
            Unavailable: The client's rights have changed meanwhile; it is to ask again.
        """
        turn = self.turn
        rules = self._concerning(access)
        answers = [await _ask(rule, access) for rule in rules if rule.asked(access)]
        check_turn(self._session, turn)
        self._conclude(access, rules, answers)

    async def may(self, access: Access) -> bool:
        """Whether the client may do that."""
        try:
            await self.permit(access)
        except RequestError:
            return False
        return True

    def show_pass(self, room: str, shown: Pass) -> None:
        """Let a room token count in its room, until it expires or the room is left."""
        if self._passes is None:
            self._passes = Passes(self._session.start_soon, self.recheck)
        self._passes.add(room, shown)

    def drop_pass(self, room: str) -> None:
        """Forget the token for a room; there need not be one."""
        if self._passes is not None:
            self._passes.drop(room)

    def recheck(self) -> None:
        """Take the client out of every room, and off every filter, that it may not have any more.

        Where a rule must be waited for, that is done as soon as the rule has answered.
        """
        self.turn += 1
        waiting = [each for each in self._held() if not self._recheck_now(each)]
        if waiting and not self._checking:
            self._checking = True
            self._session.start_soon(self._recheck_later)

    async def _recheck_later(self) -> None:
        try:
            turn = -1
            while turn != self.turn:
                turn = self.turn
                for access in self._held():
                    await self._recheck(access)
        finally:
            self._checking = False

    def _held(self) -> list[Access]:
        """Return what the client has that it must have a right to."""
        session = self._session
        rooms = [room_access(session.client, "join", name) for name in session.rooms]
        return rooms + [filter_access(session.client, each) for each in session.filters.values()]

    def _recheck_now(self, access: Access) -> bool:
        """Take out a client that may not stay; returns False if a rule must be waited for."""
        try:
            self.permit_now(access)
        except trio.WouldBlock:
            return False
        except Exception as error:
            self._take_out(access, error)
        return True

    async def _recheck(self, access: Access) -> None:
        turn = self.turn
        try:
            with trio.fail_after(RECHECK_SECONDS):
                await self.permit(access)
        except Exception as error:
            if turn == self.turn:  # else it is asked again
                self._take_out(access, error)

    def _take_out(self, access: Access, error: Exception) -> None:
        """End a membership or a subscription, and tell the client."""
        session = self._session
        if not isinstance(error, RequestError):
            log.error("rule failed", client=session.id, exc_info=error)
            error = Internal()
        expired = self._passes is not None and access.room in self._passes.expired
        reason = "token_expired" if expired else error.code
        if access.action == "subscribe" and access.filter in session.filters:
            membership.unfollow(session, session.filters[access.filter])
            session.say(Left(filter=access.filter, reason=reason))
        elif access.action == "join" and access.room in session.rooms:
            membership.leave(session, access.room)
            session.say(Left(room=access.room, reason=reason))

    def _concerning(self, access: Access) -> list[Rule]:
        """Return the rules that what is asked for falls under.

        Raises:
            Forbidden: It would tell of rooms for which one of them cannot answer.
        """
        rules = self._session.node.app.rules.concerning(access)
        if not all(rule.can_judge(access) for rule in rules if rule.hears(access)):
            raise _forbidden(access)
        return rules

    def _conclude(self, access: Access, rules: list[Rule], answers: list[Answer]) -> None:
        if False in answers:
            raise _forbidden(access)
        if True in answers or self._granted(access):
            return
        identity = self._session.identity
        if rules or (identity is not None and identity.grants is not None):
            raise _forbidden(access)

    def _granted(self, access: Access) -> bool:
        """Whether a token allows that."""
        room, passes = access.room, self._passes
        if passes is not None and room is not None and passes.allow(access.action, room):
            return True
        identity = self._session.identity
        if identity is None or identity.grants is None:
            return False
        if access.filter is not None:
            return identity.grants.cover(access.action, parse_filter(access.filter))
        return room is not None and identity.grants.allow(access.action, room)


def guard_of(session: Session) -> Guard | None:
    """Return a guard for a connection, if anything says what it may do."""
    identity = session.identity
    granted = identity is not None and identity.grants is not None
    return Guard(session) if granted or session.node.app.rules else None


def identify(session: Session, identity: Identity) -> None:
    """Note what somebody has proved to be, and take them out of where they may not be any more."""
    session.identity = identity
    if session.guard is None:
        session.guard = guard_of(session)
    if session.guard is not None:
        session.guard.recheck()


@contextmanager
def showing(session: Session, room: str, shown: Pass) -> Iterator[None]:
    """Let a room token count while the block runs, and after it as long as the room is not left."""
    if session.guard is None:
        session.guard = Guard(session)
    session.guard.show_pass(room, shown)
    try:
        yield
    finally:
        if room not in session.rooms:
            session.guard.drop_pass(room)


def permit_now(session: Session, action: Action, room: str) -> None:
    """As `Guard.permit_now`, for a room; every name is refused that no room can have.

    Raises:
        RequestError, trio.WouldBlock: As there.
    """
    if session.guard is not None:
        session.guard.permit_now(room_access(session.client, action, check_room(room)))


async def permit(session: Session, action: Action, room: str) -> None:
    """As `permit_now`, waiting where that would block.

    Raises:
        RequestError: As there.
    """
    if session.guard is not None:
        await session.guard.permit(room_access(session.client, action, check_room(room)))


async def permit_filter(session: Session, rooms: Filter) -> None:
    """Do nothing if a client may subscribe to a filter.

    Raises:
        RequestError: It may not.
    """
    if session.guard is not None:
        await session.guard.permit(filter_access(session.client, rooms))


def turn_of(session: Session) -> int:
    """Return a number that changes when what a client may do may have changed."""
    return 0 if session.guard is None else session.guard.turn


def check_turn(session: Session, turn: int) -> None:
    """Do nothing if what was allowed when `turn_of` was ``turn`` still holds.

    Raises:
        Unavailable: It has to be asked for again.
    """
    if turn != turn_of(session):
        raise Unavailable("What this connection may do has changed meanwhile; try again.")


def publish_access(session: Session, command: SendEvent, room: str) -> Access:
    """Return the question whether a client may publish an event in a room."""
    return Access(
        session.client,
        "publish",
        check_room(room),
        event=command.event,
        raw=command.payload,
    )


async def _ask(rule: Rule, access: Access) -> Answer:
    answer = rule.function(access)
    return _counted(rule, access, await answer if isinstance(answer, Awaitable) else answer)


def _counted(rule: Rule, access: Access, answer: object) -> Answer:
    """Return what a rule's answer counts as: who may join may not do anything else for that.

    Raises:
        TypeError: It is none of the three.
    """
    if answer is False or answer is None:
        return answer
    if answer is not True:
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError(f"{rule.function!r} must return True, False or None, not {answer!r}")
    return True if access.action in rule.actions else None


def _forbidden(access: Access) -> Forbidden:
    where = access.filter if access.room is None else access.room
    return Forbidden(f"You may not {_DEEDS[access.action]} {where!r}.")


_DEEDS: dict[Action, str] = {
    "join": "join",
    "publish": "publish to",
    "subscribe": "subscribe to",
    "presence": "see who is in",
    "history": "read the history of",
}
