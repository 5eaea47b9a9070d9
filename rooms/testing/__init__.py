"""Helpers for tests: of applications, of brokers, of servers."""

from rooms.testing.broker import BrokerSuite
from rooms.testing.client import Closed, Refused, TestClient
from rooms.testing.dialects import DialectSuite
from rooms.testing.frames import Frame, client_close, client_frame
from rooms.testing.memory import MemoryServer, in_memory

__all__ = [
    "BrokerSuite",
    "Closed",
    "DialectSuite",
    "Frame",
    "MemoryServer",
    "Refused",
    "TestClient",
    "client_close",
    "client_frame",
    "in_memory",
]
