"""Django Channels on uvicorn with uvloop.  channels_server.py PORT ENGINE-URL core|pubsub"""

import sys
from typing import Any

import django
import uvicorn
from django.conf import settings

LAYERS: dict[str, dict[str, Any]] = {
    "core": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [sys.argv[2]], "capacity": 100_000},
    },
    "pubsub": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [sys.argv[2]]},
    },
}

settings.configure(
    SECRET_KEY="for the bench only",
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["channels"],
    CHANNEL_LAYERS={"default": LAYERS[sys.argv[3]]},
)
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402  # needs settings
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import re_path  # noqa: E402


class Member(AsyncWebsocketConsumer):
    """Sends everything to all members of the room that the path names."""

    async def connect(self) -> None:
        """Enter the room."""
        self.group = "r" + self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        """Leave it."""
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
        """Publish."""
        await self.channel_layer.group_send(self.group, {"type": "published", "text": text_data})

    async def published(self, event: dict[str, Any]) -> None:
        """Deliver."""
        await self.send(text_data=event["text"])


app = ProtocolTypeRouter(
    {"websocket": URLRouter([re_path(r"^r/(?P<room>\w+)$", Member.as_asgi())])}
)

uvicorn.run(
    app,
    host="127.0.0.1",
    port=int(sys.argv[1]),
    log_level="warning",
    loop="uvloop",
    http="httptools",
    lifespan="off",
    ws_per_message_deflate=False,
    ws_ping_interval=None,
    backlog=4096,
)
