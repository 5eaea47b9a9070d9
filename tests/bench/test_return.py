"""Clients that are cut, miss something and come back for it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from rooms.bench.frames import make_stamp
from rooms.bench.protocols import Returning
from rooms.protocol.commands import Position
from rooms.protocol.frames import server_frame
from tests.bench.fakes import Peer, Stage

JOINED = server_frame(b'{"type":"reply","id":1,"room":"r0","position":["e",0]}')


def told(kind: str, *numbers: int, more: bool = False) -> bytes:
    """A frame with publications that were missed."""
    missed = [{"payload": {"stamp": make_stamp(1, number).decode()}} for number in numbers]
    text = json.dumps({"type": kind, "recovered": True, "missed": missed, "more": more})
    return server_frame(text.encode())


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A room of two, one of whom will be cut and miss three publications."""
    with Stage("recover", connections=2, missed=3, in_flight=1) as stage:
        for count in (1, 2):
            stage.accept_upgraded().send(JOINED)
            stage.until(lambda wanted=count: stage.clients.ready == wanted)  # type: ignore[misc] # mypy gives a lambda with a default no type
        yield stage


def come_back(stage: Stage) -> Peer:
    """Let the other one be cut and connect again; returns the server's new end."""
    stage.clients.cut()
    seen = {room.share.room: room.position for room in stage.rooms if room.position}
    stage.clients.come_back(Returning(stage.plan, seen))
    assert not stage.clients.settled
    return stage.accept_upgraded()


def test_those_who_publish_are_not_cut(stage: Stage) -> None:
    stage.clients.cut()
    assert stage.clients.ready == stage.clients.total == 1
    assert stage.clients.settled
    (room,) = stage.rooms
    assert room.publisher is not None
    assert room.publisher.fileno() >= 0


def test_who_comes_back_says_what_was_seen_and_is_told_the_rest(stage: Stage) -> None:
    peer = come_back(stage)
    stage.turn()
    ((_, text),) = peer.messages()
    assert json.loads(text)["since"] == ["e", 0]
    peer.send(server_frame(b'{"type":"welcome"}') + told("reply", 0, 1, more=True))
    stage.turn()
    assert stage.clients.ready == 1
    peer.send(told("missed", 2))
    stage.until(lambda: stage.clients.ready == 2)
    assert stage.clients.settled
    assert stage.clients.return_.count == 1
    assert stage.clients.return_.completed >= stage.clients.set_up.completed
    assert stage.rooms[0].delivered == 0
    assert stage.delivered == []


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ((0, 2), "with a gap"),
        ((0, 0, 1, 2), "twice"),
        ((1, 0, 2), "out of order"),
        ((0, 1), "not just what was missed"),
        ((0, 1, 2, 3), "not just what was missed"),
        ((), "not just what was missed"),
    ],
)
def test_who_is_told_anything_else_is_lost(
    stage: Stage, numbers: tuple[int, ...], reason: str
) -> None:
    come_back(stage).send(told("reply", *numbers))
    stage.until(lambda: stage.clients.dead == 1)
    assert reason in next(iter(stage.clients.errors))
    assert stage.clients.return_.count == 0
    assert stage.clients.settled


def test_the_position_is_that_of_the_last_who_joined(stage: Stage) -> None:
    assert stage.rooms[0].position == Position("e", 0)
