"""The largest body a request may bring, enforced before Django reads it. An ASGI wrapper."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings

from saas.api.guards import UPLOADS
from tenants.kernel.errors import TooLarge
from tenants.kernel.ids import new_id

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

FORM_BYTES = 1024 * 1024  # what a multipart form adds to its file
DRAIN_BYTES = 32 * 1024 * 1024  # read and thrown away, so that the client gets to see the answer


def largest_body(path: str) -> int:
    """Bytes that a request to `path` may bring."""
    uploads = UPLOADS.match(path) is not None
    return settings.MAX_FILE_BYTES + FORM_BYTES if uploads else settings.MAX_JSON_BYTES


class BodyLimit:
    """Answers 413 to a body over the limit, declared or not."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = largest_body(scope["path"])
        if declared_length(scope) > limit:
            await _drain(receive)
            await _refuse(send, limit)
            return
        metered = _Metered(limit, receive, send)
        await self.app(scope, metered.receive, metered.send)


class _Metered:
    """Counts a body of undeclared length; past the limit the client is answered for the app."""

    def __init__(self, limit: int, receive: Receive, send: Send) -> None:
        self._limit, self._receive, self._send = limit, receive, send
        self._seen = 0
        self._refused = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen <= self._limit:
            return message
        if not self._refused:
            self._refused = True
            if message.get("more_body"):
                await _drain(self._receive)
            await _refuse(self._send, self._limit)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if not self._refused:
            await self._send(message)


def declared_length(scope: Message) -> int:
    """The `content-length` header, 0 where there is none or it is no number."""
    values = [value for name, value in scope["headers"] if name.lower() == b"content-length"]
    return int(values[0]) if values and values[0].isdigit() else 0


async def _drain(receive: Receive) -> None:
    seen = 0
    while seen < DRAIN_BYTES:
        message = await receive()
        seen += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return


async def _refuse(send: Send, limit: int) -> None:
    error = TooLarge(f"the request's body is larger than {limit} bytes")
    headers = [
        (b"content-type", b"application/json"),
        (b"connection", b"close"),
        (b"x-should-retry", b"false"),
        (b"x-request-id", new_id("req_").encode()),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send(
        {"type": "http.response.body", "body": json.dumps({"error": error.to_dict()}).encode()}
    )
